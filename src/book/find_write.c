/*
 * As a log-structured merge tree: fresh keys wait in one row until there are FIND_FRESH_KEYS,
 * become a run, and four runs of a class are merged into one of the next. So each key is written
 * once a class, in large pieces and never at random.
 */
#include "book/find_write.h"

#include <errno.h>
#include <stdlib.h>

enum { KEYS_MAX = 1 << 15, MERGED = 4 /* runs into one */ };

enum statement {
    FRESH_READ,
    FRESH_MAKE,
    FRESH_WRITE,
    RUNS_READ,
    RUN_ADD,
    RUN_DELETE,
    ROW_ADD,
    ROW_NEXT,
    ROWS_DELETE,
    STATEMENT_COUNT
};

static const char *const sql[STATEMENT_COUNT] = {
    [FRESH_READ] = "SELECT seed, keys FROM fresh",
    [FRESH_MAKE] = "INSERT INTO fresh VALUES (?1, ?2)",
    [FRESH_WRITE] = "UPDATE fresh SET keys = ?1",
    [RUNS_READ] = "SELECT run, keys FROM run ORDER BY run",
    [RUN_ADD] = "INSERT INTO run VALUES (?1, ?2)",
    [RUN_DELETE] = "DELETE FROM run WHERE run = ?1",
    [ROW_ADD] = "INSERT INTO find VALUES (?1, ?2)",
    [ROW_NEXT] = ("SELECT place, keys FROM find WHERE place > ?1 AND place < ?2"
                  " ORDER BY place LIMIT 1"),
    [ROWS_DELETE] = "DELETE FROM find WHERE place >= ?1 AND place < ?2",
};

struct run {
    uint32_t number;
    uint64_t keys;
};

struct find_writer {
    struct db db;
    bool is_there;
    int64_t seed;
    struct find_key keys[KEYS_MAX]; /* in no run yet */
    size_t count;
    size_t fresh;                       /* how many of them the row has */
    struct run runs[FIND_RUNS_MAX + 1]; /* by number; one more while merging */
    size_t run_count;
};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, FIND_KEY_BYTES);
}

/* ---- opening ---- */

/* No row: there is no aid yet, or somebody deleted it in order to have it made anew. */
static int read_fresh(struct find_writer *w)
{
    sqlite3_stmt *s = db_statement(&w->db, FRESH_READ);
    int r = s ? db_step(s) : db_error(&w->db);

    if (r <= 0)
        return r;
    w->is_there = true;
    w->seed = sqlite3_column_int64(s, 0);
    r = find_unseal(w->seed, db_column(s, 1), FIND_FRESH_KEYS - 1, w->keys, &w->count);
    w->fresh = w->count;
    sqlite3_reset(s);
    return r;
}

static int read_runs(struct find_writer *w)
{
    sqlite3_stmt *s = db_statement(&w->db, RUNS_READ);
    int r = s ? 0 : db_error(&w->db);

    while (r == 0 && (r = db_step(s)) == 1) {
        int64_t number = sqlite3_column_int64(s, 0);
        r = number > 0 && number <= FIND_RUN_NUMBER_MAX && w->run_count < FIND_RUNS_MAX ? 0
                                                                                        : -EUCLEAN;
        if (r == 0)
            w->runs[w->run_count++] =
                (struct run){(uint32_t)number, (uint64_t)sqlite3_column_int64(s, 1)};
    }
    if (r < 0 && s)
        sqlite3_reset(s);
    return r;
}

/* A damaged aid is none: the file has all that makes a new one. */
static int give_up(struct find_writer *w)
{
    w->is_there = false;
    w->count = w->fresh = w->run_count = 0;
    return 0;
}

int find_writer_new(const struct db *db, struct find_writer **out)
{
    struct find_writer *w = calloc(1, sizeof(*w));
    int r = w ? db_share(db, sql, STATEMENT_COUNT, &w->db) : -ENOMEM;

    if (r == 0)
        r = read_fresh(w);
    if (r == 0)
        r = read_runs(w);
    if (r == -EUCLEAN)
        r = give_up(w);
    if (r < 0) {
        find_writer_free(w);
        return r;
    }
    *out = w;
    return 0;
}

void find_writer_free(struct find_writer *w)
{
    if (!w)
        return;
    db_unshare(&w->db);
    free(w);
}

bool find_is_there(const struct find_writer *w)
{
    return w->is_there;
}

/* A new seed each time: what is left of the old one in a damaged file means nothing any more. */
int find_make(struct find_writer *w)
{
    int r = db_exec(&w->db, "DELETE FROM fresh; DELETE FROM run; DELETE FROM find");
    sqlite3_stmt *s = r == 0 ? db_statement(&w->db, FRESH_MAKE) : NULL;

    if (s) {
        sqlite3_randomness(sizeof(w->seed), &w->seed);
        sqlite3_bind_int64(s, 1, w->seed);
        db_bind_blob(s, 2, w->keys, find_seal(w->seed, w->keys, 0));
        r = db_run(s);
    } else if (r == 0) {
        r = db_error(&w->db);
    }
    w->run_count = w->count = w->fresh = 0;
    w->is_there = r == 0;
    return r;
}

/* ---- one run ---- */

/* A run being written, a row at a time, in the order of its keys. */
struct writing {
    struct find_writer *writer;
    uint32_t number;
    uint64_t keys;
    struct find_key row[FIND_ROW_KEYS + 1]; /* and room for its checksum */
    size_t count;
    uint32_t hash, ordinal; /* of the row before */
};

/* A hash that fills a row goes on in the next: the ordinal tells these apart, since a place is run,
 * hash and ordinal. */
static int end_row(struct writing *to)
{
    struct find_writer *w = to->writer;
    uint32_t hash = find_get_hash(&to->row[0]);
    sqlite3_stmt *s = db_statement(&w->db, ROW_ADD);

    if (!s)
        return db_error(&w->db);
    to->ordinal = to->keys > to->count && hash == to->hash ? to->ordinal + 1 : 0;
    to->hash = hash;
    if (to->ordinal > FIND_ORDINAL_MAX)
        return -EUCLEAN;
    int64_t place = find_place(to->number, hash, to->ordinal);
    sqlite3_bind_int64(s, 1, place);
    db_bind_blob(s, 2, to->row, find_seal(place, to->row, to->count));
    to->count = 0;
    return db_run(s);
}

/* The same key twice is kept once; one that is smaller than the one before means that a row was
 * damaged. */
static int add_key(struct writing *to, const struct find_key *key)
{
    int order = to->count ? compare_keys(&to->row[to->count - 1], key) : -1;

    if (order >= 0)
        return order == 0 ? 0 : -EUCLEAN;
    int r = to->count == FIND_ROW_KEYS ? end_row(to) : 0;
    to->row[to->count++] = *key;
    to->keys++;
    return r;
}

/* Behind all others, where the B-tree grows without moving rows; else the lowest that is free. */
static uint32_t free_number(const struct find_writer *w)
{
    uint32_t last = w->run_count ? w->runs[w->run_count - 1].number : 0, number = 1;

    if (last < FIND_RUN_NUMBER_MAX)
        return last + 1;
    for (size_t i = 0; i < w->run_count && w->runs[i].number == number; i++)
        number++;
    return number;
}

static void note_run(struct find_writer *w, const struct run *run)
{
    size_t at = w->run_count++;

    for (; at > 0 && w->runs[at - 1].number > run->number; at--)
        w->runs[at] = w->runs[at - 1];
    w->runs[at] = *run;
}

static int end_run(struct writing *to)
{
    struct find_writer *w = to->writer;
    struct run run = {to->number, to->keys};
    int r = to->count ? end_row(to) : 0;
    sqlite3_stmt *s = r == 0 ? db_statement(&w->db, RUN_ADD) : NULL;

    if (!s)
        return r < 0 ? r : db_error(&w->db);
    sqlite3_bind_int64(s, 1, run.number);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)run.keys);
    note_run(w, &run);
    return db_run(s);
}

/* ---- merging ---- */

/* A run being read. */
struct reading {
    uint32_t number;
    int64_t place; /* of the row that is held */
    struct find_key row[FIND_ROW_KEYS];
    size_t count, next;
};

/* 1; 0: the run is at its end. */
static int read_row(struct find_writer *w, struct reading *from)
{
    sqlite3_stmt *s = db_statement(&w->db, ROW_NEXT);

    if (!s)
        return db_error(&w->db);
    sqlite3_bind_int64(s, 1, from->place);
    sqlite3_bind_int64(s, 2, find_place_end(from->number));
    from->count = from->next = 0;
    int r = db_step(s);
    if (r <= 0)
        return r;
    from->place = sqlite3_column_int64(s, 0);
    r = find_unseal(from->place, db_column(s, 1), FIND_ROW_KEYS, from->row, &from->count);
    sqlite3_reset(s);
    return r < 0 ? r : 1;
}

static struct reading *least(struct reading from[static MERGED])
{
    struct reading *best = NULL;

    for (int i = 0; i < MERGED; i++)
        if (from[i].next < from[i].count &&
            (!best || compare_keys(&from[i].row[from[i].next], &best->row[best->next]) < 0))
            best = &from[i];
    return best;
}

static int merge_keys(struct find_writer *w, struct reading from[static MERGED], struct writing *to)
{
    struct reading *next;
    int r = 0;

    for (int i = 0; r >= 0 && i < MERGED; i++)
        r = read_row(w, &from[i]);
    while (r >= 0 && (next = least(from))) {
        r = add_key(to, &next->row[next->next++]);
        if (r == 0 && next->next == next->count)
            r = read_row(w, next);
    }
    return r < 0 ? r : end_run(to);
}

/* In the transaction of the new run: a reader sees the four or the one. */
static int delete_run(struct find_writer *w, uint32_t number)
{
    sqlite3_stmt *rows = db_statement(&w->db, ROWS_DELETE);
    sqlite3_stmt *run = db_statement(&w->db, RUN_DELETE);
    size_t at = 0;

    if (!rows || !run)
        return db_error(&w->db);
    sqlite3_bind_int64(rows, 1, find_place(number, 0, 0));
    sqlite3_bind_int64(rows, 2, find_place_end(number));
    sqlite3_bind_int64(run, 1, number);
    int r = db_run(rows);
    if (r == 0)
        r = db_run(run);
    while (w->runs[at].number != number)
        at++;
    memmove(&w->runs[at], &w->runs[at + 1], (--w->run_count - at) * sizeof(w->runs[0]));
    return r;
}

/* Reads and writes a row at a time: a run may have millions of keys, memory holds five rows. */
static int merge(struct find_writer *w, const uint32_t numbers[static MERGED])
{
    struct {
        struct reading from[MERGED];
        struct writing to;
    } *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    for (int i = 0; i < MERGED; i++) {
        m->from[i].number = numbers[i];
        m->from[i].place = find_place(numbers[i], 0, 0) - 1;
    }
    m->to = (struct writing){.writer = w, .number = free_number(w)};
    int r = merge_keys(w, m->from, &m->to);
    for (int i = 0; r == 0 && i < MERGED; i++)
        r = delete_run(w, numbers[i]);
    free(m);
    return r;
}

/* Runs of one class are less than four times as large as each other. */
static unsigned size_class(const struct run *run)
{
    unsigned size = 0;

    for (uint64_t keys = run->keys / FIND_FRESH_KEYS; keys >= MERGED; keys /= MERGED)
        size++;
    return size;
}

/* Are there enough runs of a class? */
static bool find_alike(const struct find_writer *w, unsigned size, uint32_t out[static MERGED])
{
    int count = 0;

    for (size_t i = 0; i < w->run_count && count < MERGED; i++)
        if (w->runs[i].keys < FIND_LAST_RUN_KEYS && size_class(&w->runs[i]) == size)
            out[count++] = w->runs[i].number;
    return count == MERGED;
}

/* From the smallest class up: a merge may be the fourth run of the next one. */
static int merge_all(struct find_writer *w)
{
    struct run last = {.keys = FIND_LAST_RUN_KEYS};
    uint32_t numbers[MERGED];
    int r = 0;

    for (unsigned size = 0; r == 0 && size <= size_class(&last); size++)
        if (find_alike(w, size, numbers))
            r = merge(w, numbers);
    return r;
}

/* ---- adding ---- */

static int write_run(struct find_writer *w)
{
    struct writing to = {.writer = w, .number = free_number(w)};
    int r = w->run_count < FIND_RUNS_MAX ? 0 : -E2BIG;

    for (size_t i = 0; r == 0 && i < w->count; i++)
        r = add_key(&to, &w->keys[i]);
    if (r == 0)
        r = end_run(&to);
    w->count = 0;
    return r < 0 ? r : merge_all(w);
}

/* One row is written over and over, each time with at most FIND_FRESH_KEYS keys: cheaper than a run
 * for every commit. */
static int write_fresh(struct find_writer *w)
{
    sqlite3_stmt *s = db_statement(&w->db, FRESH_WRITE);

    if (!s)
        return db_error(&w->db);
    db_bind_blob(s, 1, w->keys, find_seal(w->seed, w->keys, w->count));
    w->fresh = w->count;
    return db_run(s);
}

/* What can't be merged since a row is damaged gives up the aid; volume_find.c then makes it anew
 * from the rows. */
static int flush(struct find_writer *w)
{
    int r = 0;

    qsort(w->keys, w->count, FIND_KEY_BYTES, compare_keys);
    if (w->count >= FIND_FRESH_KEYS)
        r = write_run(w);
    if (r == -EUCLEAN)
        return give_up(w);
    return r == 0 && (w->count || w->fresh) ? write_fresh(w) : r;
}

/* Only remembered: written with the transaction that has the event (find_write()), or when the
 * buffer is full. */
int find_add(struct find_writer *w, enum find_kind kind, struct span text, const struct id *message)
{
    int r = text.size && w->count == KEYS_MAX ? flush(w) : 0;

    if (text.size == 0 || r < 0 || !w->is_there)
        return r;
    struct find_key *key = &w->keys[w->count++];
    find_put_hash(find_hash(w->seed, kind, text), key->bytes);
    memcpy(key->bytes + FIND_HASH_BYTES, message->bytes, ID_BYTES);
    return 0;
}

int find_write(struct find_writer *w)
{
    return !w->is_there || w->count == w->fresh ? 0 : flush(w);
}
