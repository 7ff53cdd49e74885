/*
 * Every value's checksum, and that the rows of each run are where their keys belong, in order, and
 * as many as the run's own row says. Runs are merged by a heap of those that have keys left, the
 * one with the least key on top.
 */
#include "book/find_check.h"

#include "base/grow.h"
#include <errno.h>
#include <stdlib.h>

enum statement { FRESH_READ, RUNS_READ, ROW_NEXT, ROWS_COUNT, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [FRESH_READ] = "SELECT seed, keys FROM fresh",
    [RUNS_READ] = "SELECT run, keys FROM run",
    [ROW_NEXT] = ("SELECT place, keys FROM find WHERE place > ?1 AND place < ?2"
                  " ORDER BY place LIMIT 1"),
    [ROWS_COUNT] = "SELECT count(*) FROM find",
};

/* A run, or the fresh keys. */
struct source {
    uint32_t number;        /* 0: the fresh ones */
    uint64_t told;          /* how many keys the run's own row says */
    uint64_t seen;          /* in the rows so far */
    int64_t place;          /* of the row that is held */
    uint32_t hash, ordinal; /* and how it follows from its keys */
    struct find_key last;   /* of the row before */
    struct find_key *keys;  /* of the row that is held */
    size_t count, next;
};

struct check {
    struct db db;
    int64_t rows; /* so far, of all runs */
    struct source **heap;
    size_t count, room;
};

static int compare(const struct source *a, const struct source *b)
{
    return memcmp(&a->keys[a->next], &b->keys[b->next], FIND_KEY_BYTES);
}

/* ---- one source ---- */

/* Keys that are fresh may come twice. */
static bool is_in_order(const struct source *from)
{
    const struct find_key *before = from->seen ? &from->last : NULL;
    int least = from->number ? 1 : 0;

    for (size_t i = 0; i < from->count; before = &from->keys[i++])
        if (before && memcmp(&from->keys[i], before, FIND_KEY_BYTES) < least)
            return false;
    return true;
}

/* A row's place follows from its first key, so one that was copied or moved elsewhere is found, its
 * checksum notwithstanding. */
static int check_row(struct check *c, struct source *from)
{
    if (from->count == 0 || !is_in_order(from))
        return -EUCLEAN;
    uint32_t hash = find_get_hash(&from->keys[0]);
    from->ordinal = from->seen && hash == from->hash ? from->ordinal + 1 : 0;
    from->hash = hash;
    from->seen += from->count;
    from->last = from->keys[from->count - 1];
    c->rows++;
    return from->place == find_place(from->number, hash, from->ordinal) ? 1 : -EUCLEAN;
}

/* 1; 0: the source is at its end. */
static int read_row(struct check *c, struct source *from)
{
    from->count = from->next = 0;
    if (from->number == 0)
        return 0;
    sqlite3_stmt *s = db_statement(&c->db, ROW_NEXT);
    if (!s)
        return db_error(&c->db);
    sqlite3_bind_int64(s, 1, from->place);
    sqlite3_bind_int64(s, 2, find_place_end(from->number));
    int r = db_step(s);
    if (r == 0)
        return from->seen == from->told ? 0 : -EUCLEAN;
    if (r == 1) {
        from->place = sqlite3_column_int64(s, 0);
        r = find_unseal(from->place, db_column(s, 1), FIND_ROW_KEYS, from->keys, &from->count);
        sqlite3_reset(s);
    }
    return r < 0 ? r : check_row(c, from);
}

/* ---- all of them ---- */

static void swap(struct check *c, size_t a, size_t b)
{
    struct source *held = c->heap[a];

    c->heap[a] = c->heap[b];
    c->heap[b] = held;
}

static void sift_up(struct check *c, size_t at)
{
    for (; at > 0 && compare(c->heap[at], c->heap[(at - 1) / 2]) < 0; at = (at - 1) / 2)
        swap(c, at, (at - 1) / 2);
}

static void sift_down(struct check *c)
{
    for (size_t at = 0, least; (least = 2 * at + 1) < c->count; at = least) {
        if (least + 1 < c->count && compare(c->heap[least + 1], c->heap[least]) < 0)
            least++;
        if (compare(c->heap[at], c->heap[least]) <= 0)
            return;
        swap(c, at, least);
    }
}

static void source_free(struct source *from)
{
    free(from->keys);
    free(from);
}

/* Takes it over. A heap: a file may have up to FIND_RUNS_MAX runs. */
static int push(struct check *c, struct source *from)
{
    struct source **heap = grow_by_one(c->heap, c->count, &c->room, sizeof(struct source *), 16);
    if (!heap) {
        source_free(from);
        return -ENOMEM;
    }
    c->heap = heap;
    c->heap[c->count++] = from;
    sift_up(c, c->count - 1);
    return 0;
}

static struct source *source_new(size_t keys)
{
    struct source *from = calloc(1, sizeof(*from));

    if (from)
        from->keys = malloc(keys * sizeof(*from->keys));
    if (from && !from->keys) {
        free(from);
        return NULL;
    }
    return from;
}

static int open_fresh(struct check *c)
{
    sqlite3_stmt *s = db_statement(&c->db, FRESH_READ);
    int r = s ? db_step(s) : db_error(&c->db);

    if (r <= 0)
        return r;
    struct source *from = source_new(FIND_FRESH_KEYS);
    r = from ? find_unseal(sqlite3_column_int64(s, 0), db_column(s, 1), FIND_FRESH_KEYS - 1,
                           from->keys, &from->count)
             : -ENOMEM;
    sqlite3_reset(s);
    if (r == 0 && !is_in_order(from))
        r = -EUCLEAN;
    if (r == 0 && from->count)
        return push(c, from);
    if (from)
        source_free(from);
    return r;
}

static int open_run(struct check *c, int64_t number, uint64_t keys)
{
    if (number <= 0 || number > FIND_RUN_NUMBER_MAX || c->count > FIND_RUNS_MAX)
        return -EUCLEAN;
    struct source *from = source_new(FIND_ROW_KEYS);
    if (!from)
        return -ENOMEM;
    from->number = (uint32_t)number;
    from->told = keys;
    from->place = find_place(from->number, 0, 0) - 1;
    int r = read_row(c, from);
    if (r == 1)
        return push(c, from);
    source_free(from);
    return r;
}

static int open_all(struct check *c)
{
    int r = open_fresh(c);
    sqlite3_stmt *s = db_statement(&c->db, RUNS_READ);

    if (r == 0 && !s)
        r = db_error(&c->db);
    while (r == 0 && (r = db_step(s)) == 1)
        r = open_run(c, sqlite3_column_int64(s, 0), (uint64_t)sqlite3_column_int64(s, 1));
    if (s)
        sqlite3_reset(s);
    return r;
}

/* The one on top goes on. */
static int advance(struct check *c)
{
    struct source *from = c->heap[0];

    if (++from->next == from->count) {
        int r = read_row(c, from);
        if (r < 0)
            return r;
        if (r == 0) {
            source_free(from);
            c->heap[0] = c->heap[--c->count];
        }
    }
    sift_down(c);
    return 0;
}

/* A key may be in several runs, once in each, and in the fresh ones twice: given out once. */
static int merge(struct check *c, void *arg, void (*take)(void *arg, const struct find_key *key))
{
    struct find_key last;
    bool any = false;
    int r = 0;

    while (r == 0 && c->count) {
        const struct find_key *key = &c->heap[0]->keys[c->heap[0]->next];
        if (!any || memcmp(key, &last, FIND_KEY_BYTES) != 0) {
            last = *key;
            any = true;
            take(arg, key);
        }
        r = advance(c);
    }
    return r;
}

int find_check_seed(struct db *db, int64_t *out_seed)
{
    int r = db_number(db, "SELECT seed FROM fresh", out_seed);

    return r < 0 ? (r == -ENOENT ? 0 : r) : 1;
}

/* The number of rows at last: rows of a run that no row of `run` names would never be read. */
int find_check(struct db *db, void *arg, void (*take)(void *arg, const struct find_key *key))
{
    struct check c = {.rows = 0};
    int64_t seed, rows = 0;
    int r = find_check_seed(db, &seed);

    if (r <= 0)
        return r;
    r = db_share(db, sql, STATEMENT_COUNT, &c.db);
    if (r == 0)
        r = open_all(&c);
    if (r == 0)
        r = merge(&c, arg, take);
    if (r == 0)
        r = db_number(&c.db, sql[ROWS_COUNT], &rows);
    if (r == 0 && rows != c.rows)
        r = -EUCLEAN;
    while (c.count)
        source_free(c.heap[--c.count]);
    free(c.heap);
    db_unshare(&c.db);
    return r;
}
