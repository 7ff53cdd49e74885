#include "book/ledger_check.h"

#include "book/volume.h"
#include "book/week_heads.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct look {
    const char *folder;
    struct main_file *main;
    struct chain *chain;
    int64_t now_us;
    struct main_file_heads noted; /* what each file must have */
    struct ledger_told *told;
    struct ledger_unchecked *unchecked;
    bool lacks; /* one of those looked at */
};

/* The rows of one file. */
struct rows {
    struct ledger_file file;
    const struct main_file_head *first, *end;
};

/* To be told also when this fails, as what displaced: a commit that failed may be durable. */
static int note_lacking(struct look *l, const struct ledger_file *file)
{
    l->lacks = true;
    week_file(file->kind, file->week, l->told->lacking);
    return main_file_note_damage(l->main, l->told->lacking, "", l->now_us);
}

/* ---- what can't be looked at ---- */

/* Most weeks are never needed again, so one that can't be read must not hold up the others. But the
 * disk may give it a moment later, and then it would be written unchecked. */
static int note_unchecked(struct look *l, const struct ledger_file *file, int error)
{
    struct ledger_unchecked *u = l->unchecked;
    struct ledger_unchecked_file *more = realloc(u->list, (u->count + 1) * sizeof(*more));

    if (!more)
        return -ENOMEM;
    u->list = more;
    more[u->count++] = (struct ledger_unchecked_file){*file, error};
    return 0;
}

static struct ledger_unchecked_file *find_unchecked(const struct ledger_unchecked *u,
                                                    enum week_kind kind, int week)
{
    for (size_t i = 0; i < u->count; i++)
        if (u->list[i].file.kind == kind && u->list[i].file.week == week)
            return &u->list[i];
    return NULL;
}

int ledger_unchecked_error(const struct ledger_unchecked *u, enum week_kind kind, int week)
{
    const struct ledger_unchecked_file *found = find_unchecked(u, kind, week);
    return found ? found->error : 0;
}

void ledger_unchecked_forget(struct ledger_unchecked *u, enum week_kind kind, int week)
{
    struct ledger_unchecked_file *found;
    while ((found = find_unchecked(u, kind, week)))
        *found = u->list[--u->count];
}

void ledger_unchecked_done(struct ledger_unchecked *u)
{
    free(u->list);
    *u = (struct ledger_unchecked){0};
}

/* ---- positions ---- */

/* To be told as soon as it may be durable, also by a commit that fails. */
static int write_position(const struct look *l, const struct ledger_file *file,
                          const struct book_position *at,
                          struct main_file_head heads[static VOLUME_LANES_MAX], size_t *out_count)
{
    struct volume *v;
    int r = volume_open(l->folder, file->kind, file->week, l->chain, &v);

    if (r < 0)
        return r;
    r = volume_set_position(v, at);
    if (r == 0) {
        week_file(file->kind, file->week, l->told->displaced);
        r = volume_commit(v);
    }
    *out_count = r == 0 ? volume_take_heads(v, heads) : 0;
    volume_close(v);
    return r;
}

static int set_position(struct look *l, const struct ledger_file *file,
                        const struct book_position *at)
{
    struct main_file_head heads[VOLUME_LANES_MAX];
    size_t count;
    int r = write_position(l, file, at, heads, &count);

    if (db_is_unreadable(r))
        return note_unchecked(l, file, r);
    return r < 0 ? r : main_file_set_positions(l->main, NULL, 0, heads, count);
}

/* All is being folded again, so files may be ahead of the main file's position. */
static bool is_behind(const struct look *l, const struct main_file_head *but,
                      const struct book_position *at)
{
    for (size_t i = 0; i < l->noted.count; i++) {
        const struct main_file_head *h = &l->noted.list[i];
        if (h != but && h->at.lane == at->lane && book_position_compare(&h->at, at) > 0)
            return true;
    }
    return false;
}

/* Of two copies of a position one has a damaged byte: with one too large the file would pass over
 * events that it doesn't have. But its chain is as the main file noted it, so it has all that the
 * main file's own position covers, and may say that position, too. */
static int mend_position(struct look *l, const struct ledger_file *file,
                         const struct main_file_head *noted, const struct book_position *stored)
{
    struct book_position at = main_file_position(l->main, noted->at.lane);
    bool is_beyond_both =
        book_position_compare(&at, &noted->at) < 0 && book_position_compare(&at, stored) < 0;

    if (at.segment == 0 || is_beyond_both || is_behind(l, noted, &at))
        return 0;
    return set_position(l, file, &at);
}

static int mend_positions(struct look *l, const struct rows *rows, const struct week_heads *heads)
{
    struct book_position stored;
    int r = 0;

    for (const struct main_file_head *h = rows->first; r == 0 && h < rows->end; h++)
        if (week_heads_displaced(heads, h, &stored))
            r = mend_position(l, &rows->file, h, &stored);
    return r;
}

/* ---- files ---- */

static int check_file(struct look *l, const struct rows *rows)
{
    struct week_heads heads;
    int r = week_heads_read(l->folder, &rows->file, &heads);

    if (db_is_unreadable(r) || r == -EPROTONOSUPPORT || r == -EACCES)
        return note_unchecked(l, &rows->file, r);
    if (r < 0 && r != -ENOENT && r != -ENODATA)
        return r;
    for (const struct main_file_head *h = rows->first; h < rows->end; h++)
        if (!week_heads_reach(&heads, h))
            return note_lacking(l, &rows->file);
    return mend_positions(l, rows, &heads);
}

static int add_heads(const struct week_heads *heads, struct main_file_heads *all)
{
    size_t count = all->count + heads->count;
    struct main_file_head *more = realloc(all->list, (count + 1) * sizeof(*more));

    if (!more)
        return -ENOMEM;
    all->list = more;
    memcpy(more + all->count, heads->list, heads->count * sizeof(*more));
    all->count = count;
    return 0;
}

/* One that is damaged is made anew when it is needed. But one that only can't be read now must be
 * read at the next try: it is noted now or never, and the last lane may be its own alone. */
static int read_file(struct look *l, const struct ledger_file *file, struct main_file_heads *all)
{
    struct week_heads heads;
    int r = week_heads_read(l->folder, file, &heads);

    if (r == -EUCLEAN || r == -EPROTONOSUPPORT)
        return note_unchecked(l, file, r);
    if (r == -ENODATA || r == -ENOENT)
        return 0;
    if (r < 0) {
        week_file(file->kind, file->week, l->told->unread);
        return r;
    }
    return add_heads(&heads, all);
}

static int read_files(struct look *l, struct main_file_heads *all)
{
    struct ledger_list list;
    int r = ledger_list(l->folder, &list);

    for (size_t i = 0; r == 0 && i < list.count; i++)
        if (!main_file_is_deleted(l->main, list.files[i].kind, list.files[i].week))
            r = read_file(l, &list.files[i], all);
    ledger_list_done(&list);
    return r;
}

/* The log that is there is of the last lane. Under the number of an earlier one, whose log is gone,
 * the files would pass over what they have of that one. 0: none is later than the main file knows.
 */
static size_t find_last_lane(const struct look *l, const struct main_file_heads *all,
                             struct book_position *out)
{
    uint32_t last = main_file_last_lane(l->main);

    *out = (struct book_position){.lane = last};
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].at.lane > out->lane && all->list[i].at.lane < VOLUME_LANE_LAST)
            out->lane = all->list[i].at.lane;
    return out->lane > last;
}

/* The main file is of before it noted heads, or was made anew: what is there now must stay. All at
 * once, since a crash halfway would look like a main file that knows all. */
static int note_files(struct look *l)
{
    struct main_file_heads all = {0};
    struct book_position last;
    int r = read_files(l, &all);

    if (r == 0) {
        size_t lanes = find_last_lane(l, &all, &last);
        r = main_file_set_positions(l->main, &last, lanes, all.list, all.count);
    }
    free(all.list);
    return r;
}

static struct rows rows_of_file(const struct look *l, size_t first)
{
    const struct main_file_head *h = &l->noted.list[first], *all_end = h + l->noted.count - first;
    struct rows rows = {{h->kind, h->week}, h, h};

    while (rows.end < all_end && rows.end->kind == h->kind && rows.end->week == h->week)
        rows.end++;
    return rows;
}

int ledger_check(const char *folder, struct main_file *main, struct chain *chain, int64_t now_us,
                 struct ledger_told *told, struct ledger_unchecked *out)
{
    struct look l = {folder, main, chain, now_us, .told = told, .unchecked = out};
    int r = main_file_heads(main, &l.noted);

    *out = (struct ledger_unchecked){0};
    if (main_file_was_mended(main))
        snprintf(told->displaced, sizeof(told->displaced), MAIN_FILE_NAME);
    if (r == 0 && l.noted.count == 0)
        return note_files(&l);
    for (size_t i = 0; r == 0 && i < l.noted.count;) {
        struct rows rows = rows_of_file(&l, i);
        r = check_file(&l, &rows);
        i += (size_t)(rows.end - rows.first);
    }
    free(l.noted.list);
    return r;
}

/* The error of the last look counts. */
static void take_look(const struct ledger_unchecked *again, const struct ledger_file *file,
                      struct ledger_unchecked *out)
{
    struct ledger_unchecked_file *found = find_unchecked(out, file->kind, file->week);

    if (again->count == 0)
        ledger_unchecked_forget(out, file->kind, file->week);
    else if (found)
        found->error = again->list[0].error;
}

int ledger_check_again(const char *folder, struct main_file *main, struct chain *chain,
                       int64_t now_us, struct ledger_told *told, const struct ledger_file *file,
                       struct ledger_unchecked *unchecked)
{
    struct ledger_unchecked again = {0};
    struct look l = {folder, main, chain, now_us, .told = told, .unchecked = &again};
    int r = main_file_heads(main, &l.noted);
    size_t i = 0;

    while (i < l.noted.count &&
           (l.noted.list[i].kind != file->kind || l.noted.list[i].week != file->week))
        i++;
    if (r == 0 && i < l.noted.count) {
        struct rows rows = rows_of_file(&l, i);
        r = check_file(&l, &rows);
        if (r == 0)
            take_look(&again, file, unchecked);
    }
    ledger_unchecked_done(&again);
    free(l.noted.list);
    return r < 0 ? r : l.lacks;
}

/* ---- what waits ---- */

static int count_in_file(const char *folder, const struct ledger_file *file, uint64_t *sum)
{
    int64_t count = 0;
    struct db db;
    int r = ledger_open(folder, file, DB_READ, NULL, 0, &db);

    if (r < 0)
        return r;
    r = db_number(&db, "SELECT count(*) FROM entry WHERE state = 1", &count);
    db_done(&db);
    *sum += (uint64_t)count;
    return r;
}

int ledger_count_waiting(const char *folder, uint64_t *out)
{
    struct ledger_list list;
    int r = ledger_list(folder, &list);

    *out = 0;
    for (size_t i = 0; r == 0 && i < list.count; i++)
        if (list.files[i].kind == WEEK_ENTRIES)
            r = count_in_file(folder, &list.files[i], out);
    ledger_list_done(&list);
    return r;
}
