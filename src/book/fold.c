/*
 * One batch over several files. Week files are committed one by one, each with the position that it
 * has reached; the main file follows. A crash between leaves some files ahead of the main file:
 * they skip what they have when the log is followed again, so each event is folded exactly once.
 * The other order would lose events: a main file that is ahead is believed, and the log isn't read
 * again.
 */
#include "book/fold.h"

#include "book/expire.h"
#include "book/ledger_check.h"
#include "book/main_file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Messages wait days, not months: more weeks than this are hardly ever open at once. */
enum { OPEN_MAX = 8 };

struct fold {
    char *folder;
    struct chain *chain;
    struct main_file *main;
    struct volume *volumes[OPEN_MAX]; /* the most recently used first */
    size_t volume_count;
    struct book_position reached[VOLUME_LANES_MAX]; /* uncommitted */
    size_t reached_count;
    size_t pending;
    struct main_file_head heads[OPEN_MAX * VOLUME_LANES_MAX]; /* of a commit */
    struct ledger_told *told;
    struct ledger_unchecked unchecked;
};

/* ---- damage ---- */

/* With its -wal and -shm: what is committed may lie there alone, and a new file of the old name
 * must not find them. */
static int move_aside(const struct fold *f, const char *name, const char *aside)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char from[4096], to[4096];

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        if (snprintf(from, sizeof(from), "%s/%s%s", f->folder, name, suffixes[i]) >=
                (int)sizeof(from) ||
            snprintf(to, sizeof(to), "%s/%s%s", f->folder, aside, suffixes[i]) >= (int)sizeof(to))
            return -ENAMETOOLONG;
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* "book-2026-W47.sqlite" becomes "book-2026-W47.sqlite.damaged-1763748003". */
static int set_aside(struct fold *f, const char *name, int64_t now_us)
{
    char aside[sizeof(f->told->damage)];

    snprintf(aside, sizeof(aside), "%s.damaged-%lld", name, (long long)(now_us / 1000000));
    int r = move_aside(f, name, aside);
    if (r == 0)
        memcpy(f->told->damage, aside, sizeof(aside));
    return r;
}

/* ---- opening ---- */

/* Without it all lanes are followed from their beginning; the week files skip what they have. Only
 * the heads of deleted weeks are lost with it. */
static int remake_main(struct fold *f, int64_t now_us)
{
    main_file_close(f->main);
    f->main = NULL;
    int r = set_aside(f, MAIN_FILE_NAME, now_us);
    if (r == 0)
        r = main_file_open(f->folder, &f->main);
    return r < 0 ? r : main_file_note_damage(f->main, MAIN_FILE_NAME, f->told->damage, now_us);
}

static int open_main(struct fold *f, int64_t now_us)
{
    int r = main_file_open(f->folder, &f->main);
    return r == -EUCLEAN ? remake_main(f, now_us) : r;
}

static int check_files(struct fold *f, int64_t now_us)
{
    return ledger_check(f->folder, f->main, f->chain, now_us, f->told, &f->unchecked);
}

/* Damage that comes up now is the main file's: that of a week's file shows when it is needed. */
static int check(struct fold *f, int64_t now_us)
{
    int r = check_files(f, now_us);
    if (r != -EUCLEAN)
        return r;
    ledger_unchecked_done(&f->unchecked);
    r = remake_main(f, now_us);
    return r < 0 ? r : check_files(f, now_us);
}

int fold_open(const char *folder, int64_t now_us, struct ledger_told *told, struct fold **out)
{
    struct fold *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    f->told = told;
    f->folder = strdup(folder);
    r = f->folder ? chain_new(&f->chain) : -ENOMEM;
    if (r == 0)
        r = open_main(f, now_us);
    if (r == 0)
        r = check(f, now_us);
    if (r < 0) {
        fold_close(f);
        return r;
    }
    *out = f;
    return 0;
}

static void forget_batch(struct fold *f)
{
    for (size_t i = 0; i < f->volume_count; i++)
        volume_close(f->volumes[i]);
    f->volume_count = f->reached_count = f->pending = 0;
}

void fold_close(struct fold *f)
{
    if (!f)
        return;
    forget_batch(f);
    main_file_close(f->main);
    ledger_unchecked_done(&f->unchecked);
    chain_free(f->chain);
    free(f->folder);
    free(f);
}

struct book_position fold_position(const struct fold *f, uint32_t lane)
{
    return main_file_position(f->main, lane);
}

uint32_t fold_last_lane(const struct fold *f)
{
    return main_file_last_lane(f->main);
}

/* One more would make the main file one that can't be read. */
int fold_next_lane(const struct fold *f, uint32_t *out)
{
    uint32_t last = fold_last_lane(f);

    if (main_file_lane_count(f->main) >= VOLUME_LANES_MAX || last >= VOLUME_LANE_LAST)
        return -E2BIG;
    *out = last + 1;
    return 0;
}

size_t fold_pending(const struct fold *f)
{
    return f->pending;
}

/* ---- volumes ---- */

static void to_front(struct fold *f, size_t index)
{
    struct volume *volume = f->volumes[index];

    memmove(f->volumes + 1, f->volumes, index * sizeof(f->volumes[0]));
    f->volumes[0] = volume;
}

/* The main file failed: the batch is given up, and when it is damaged another is made, which knows
 * no position, so that all is followed anew. */
static int fail_main(struct fold *f, int error, int64_t now_us)
{
    forget_batch(f);
    if (error != -EUCLEAN)
        return error;
    int r = remake_main(f, now_us);
    return r < 0 ? r : -EUCLEAN;
}

/* Gives up the batch; a damaged file is set aside, so that following anew from zero remakes it. */
static int fail(struct fold *f, int error, enum week_kind kind, int week, int64_t now_us)
{
    char name[WEEK_FILE_SIZE];

    forget_batch(f);
    if (error != -EUCLEAN)
        return error;
    week_file(kind, week, name);
    int r = set_aside(f, name, now_us);
    if (r < 0)
        return r;
    ledger_unchecked_forget(&f->unchecked, kind, week);
    r = main_file_note_damage(f->main, name, f->told->damage, now_us);
    return r < 0 ? fail_main(f, r, now_us) : -EUCLEAN;
}

static int commit_volume(struct fold *f, struct volume *v, int64_t now_us)
{
    int r = volume_commit(v);
    return r < 0 ? fail(f, r, volume_kind(v), volume_week(v), now_us) : 0;
}

/* A volume may be committed before the batch is: its own position tells. The main file hears of it
 * at once, so that a file which is then taken away is missed. */
static int make_room(struct fold *f, int64_t now_us)
{
    struct main_file_head heads[VOLUME_LANES_MAX];

    if (f->volume_count < OPEN_MAX)
        return 0;
    struct volume *oldest = f->volumes[OPEN_MAX - 1];
    int r = commit_volume(f, oldest, now_us);
    if (r < 0)
        return r;
    r = main_file_set_positions(f->main, NULL, 0, heads, volume_take_heads(oldest, heads));
    if (r < 0)
        return fail_main(f, r, now_us);
    volume_close(oldest);
    f->volume_count--;
    return 0;
}

static bool has_file(const struct fold *f, enum week_kind kind, int week)
{
    const struct ledger_file file = {kind, week};
    char path[LEDGER_PATH_SIZE];

    return ledger_path(f->folder, &file, path) == 0 && access(path, F_OK) == 0;
}

/* A week of which there is nothing while its lane is followed anew lost all that it had. Noted
 * before there is a file: after a crash that would look like any other. */
static int note_new_file(struct fold *f, const struct book_input *input, enum week_kind kind,
                         int week, int64_t now_us)
{
    struct main_file_anew anew = main_file_anew(f->main, input->end.lane);

    if (book_position_compare(&input->end, &anew.until) >= 0 || has_file(f, kind, week))
        return 0;
    int r = main_file_note_remade(f->main, kind, week);
    return r < 0 ? fail_main(f, r, now_us) : 0;
}

/* Like a damaged file, but nothing is there to be set aside. */
static int follow_anew(struct fold *f, enum week_kind kind, int week)
{
    forget_batch(f);
    week_file(kind, week, f->told->lacking);
    return -EUCLEAN;
}

/* A disk that stumbled at the opening may have it by now. What fails is told as fold_input() does.
 */
static int check_again(struct fold *f, enum week_kind kind, int week, int64_t now_us)
{
    const struct ledger_file file = {kind, week};

    if (ledger_unchecked_error(&f->unchecked, kind, week) == 0)
        return 0;
    int r = ledger_check_again(f->folder, f->main, f->chain, now_us, f->told, &file, &f->unchecked);
    if (r < 0)
        return fail_main(f, r, now_us);
    if (r == 1)
        return follow_anew(f, kind, week);
    r = ledger_unchecked_error(&f->unchecked, kind, week);
    return r < 0 ? fail(f, r, kind, week, now_us) : 0;
}

/* At the front. What fails is told as fold_input() does. */
static int need_volume(struct fold *f, const struct book_input *input, enum week_kind kind,
                       int week, int64_t now_us)
{
    for (size_t i = 0; i < f->volume_count; i++)
        if (volume_kind(f->volumes[i]) == kind && volume_week(f->volumes[i]) == week) {
            to_front(f, i);
            return 0;
        }
    int r = check_again(f, kind, week, now_us);
    if (r == 0)
        r = note_new_file(f, input, kind, week, now_us);
    if (r == 0)
        r = make_room(f, now_us);
    if (r < 0)
        return r;
    r = volume_open(f->folder, kind, week, f->chain, &f->volumes[f->volume_count]);
    if (r < 0)
        return fail(f, r, kind, week, now_us);
    to_front(f, f->volume_count++);
    return 0;
}

/* ---- folding ---- */

static int week_of_input(const struct book_input *input, enum week_kind *out_kind)
{
    *out_kind = WEEK_ENTRIES;
    switch (input->kind) {
    case BOOK_MESSAGE:
        return week_of_id(&input->message->id);
    case BOOK_MOVED:
        return week_of_id(&input->moved->message->id);
    case BOOK_RESTATED:
        return week_of_id(&input->restated->message);
    case BOOK_EXPAND:
        return week_of_id(&input->expand->message);
    case BOOK_STATUS:
        return week_of_id(&input->status->message);
    case BOOK_EVENT:
        break;
    }
    if (input->event->kind == EVENT_REFUSED)
        *out_kind = WEEK_REFUSALS;
    else if (!id_is_zero(&input->event->message))
        return week_of_id(&input->event->message);
    return week_of_us(input->event->time_us);
}

/* In memory: it counts when the batch does. */
static int note_reached(struct fold *f, const struct book_position *end)
{
    size_t i = 0;

    while (i < f->reached_count && f->reached[i].lane != end->lane)
        i++;
    if (i == VOLUME_LANES_MAX)
        return -E2BIG;
    if (i == f->reached_count)
        f->reached_count++;
    f->reached[i] = *end;
    return 0;
}

int fold_skip(struct fold *f, const struct book_position *position)
{
    return note_reached(f, position);
}

/* ---- made anew ---- */

/* A segment goes when what is said again of it is sealed: so that lies before the limit of then, of
 * which we may have been told a little late. */
static struct book_position soon_after(const struct book_position *end)
{
    return (struct book_position){end->lane, end->segment + 2, 0};
}

int fold_begin_anew(struct fold *f, const struct book_position *end, int64_t now_us)
{
    struct main_file_anew anew = main_file_anew(f->main, end->lane);

    anew.until = anew.found_us ? soon_after(end) : *end;
    int r = main_file_set_anew(f->main, &anew);
    return r < 0 ? fail_main(f, r, now_us) : 0;
}

/* What the ledger has of another lane it has read in its time: a log that comes after it, or in its
 * place, takes nothing of that away, and makes nothing anew. */
int fold_note_gone(struct fold *f, const struct book_position *at, const struct book_position *end,
                   int64_t now_us)
{
    struct main_file_anew anew = main_file_anew(f->main, at->lane);
    struct book_position until = soon_after(end);
    bool is_first = anew.found_us == 0;

    if (main_file_has_other_lane(f->main, at->lane) || book_position_compare(at, &anew.until) > 0 ||
        (!is_first && book_position_compare(&until, &anew.until) <= 0))
        return 0;
    anew.until = until;
    if (is_first)
        anew.found_us = now_us;
    int r = main_file_set_anew(f->main, &anew);
    return r < 0 ? fail_main(f, r, now_us) : is_first;
}

bool fold_is_anew(const struct fold *f, const struct book_position *at)
{
    struct main_file_anew anew = main_file_anew(f->main, at->lane);
    return book_position_compare(at, &anew.until) <= 0;
}

/* Otherwise the book is a witness of its own: whom it has waiting and the queue lost without a word
 * must come up. A week that had been read whole is such a witness beside one that is made anew.
 * 1: it is; 0; -errno of the main file. */
static int is_believed(struct fold *f, const struct book_input *input, enum week_kind kind,
                       int week)
{
    if (input->kind != BOOK_RESTATED)
        return 1;
    struct main_file_anew anew = main_file_anew(f->main, input->end.lane);
    return anew.found_us && book_position_compare(&input->end, &anew.until) < 0
               ? main_file_is_remade(f->main, kind, week)
               : 0;
}

static int fold_into(struct fold *f, const struct book_input *input, enum week_kind kind, int week,
                     int64_t now_us)
{
    int r = need_volume(f, input, kind, week, now_us);

    if (r < 0)
        return r;
    r = volume_fold(f->volumes[0], input);
    return r < 0 ? fail(f, r, kind, week, now_us) : 0;
}

/* A week that was deleted for good takes nothing any more: late events of it are passed over, and
 * the position moves on. */
int fold_input(struct fold *f, const struct book_input *input, int64_t now_us)
{
    enum week_kind kind;
    int week = week_of_input(input, &kind);
    int r = is_believed(f, input, kind, week);

    if (r < 0)
        return fail_main(f, r, now_us);
    if (r == 0)
        return fold_skip(f, &input->end);
    if (main_file_is_deleted(f->main, kind, week)) {
        r = main_file_revive(f->main, kind, week, now_us);
        if (r == 1)
            return follow_anew(f, kind, week);
        if (r < 0)
            return fail_main(f, r, now_us);
    } else {
        r = fold_into(f, input, kind, week, now_us);
        if (r < 0)
            return r;
    }
    r = note_reached(f, &input->end);
    if (r < 0)
        forget_batch(f);
    f->pending++;
    return r;
}

/* Durable file by file (db.h opens them so). After the first error the batch is given up: what is
 * committed already is skipped when the log is followed again. */
int fold_commit(struct fold *f, int64_t now_us)
{
    size_t count = 0;

    for (size_t i = 0; i < f->volume_count; i++) {
        int r = commit_volume(f, f->volumes[i], now_us);
        if (r < 0)
            return r;
        count += volume_take_heads(f->volumes[i], f->heads + count);
    }
    int r = main_file_set_positions(f->main, f->reached, f->reached_count, f->heads, count);
    if (r < 0)
        return fail_main(f, r, now_us);
    f->reached_count = f->pending = 0;
    return 0;
}

/* Volumes are closed first: a deleted file that stays open would take events into nowhere. */
int fold_expire(struct fold *f, int64_t keep_before_us, int64_t refusals_before_us, int64_t now_us,
                struct fold_deleted *out)
{
    struct expire_limits limits = {keep_before_us, refusals_before_us, now_us};

    if (f->pending)
        return -EINVAL;
    forget_batch(f);
    return expire_files(f->folder, f->main, &limits, &out->files, &out->doubts);
}
