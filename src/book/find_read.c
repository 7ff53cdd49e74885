/*
 * All runs and the fresh keys are read from the end of the wanted hash backwards, so that the
 * newest message comes first; the largest key among the sources is told next. Each source holds one
 * row.
 */
#include "book/find_read.h"

#include <errno.h>
#include <stdlib.h>

enum statement { FRESH_READ, RUNS_COUNT, RUNS_READ, ROW_BEFORE, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [FRESH_READ] = "SELECT seed, keys FROM fresh",
    [RUNS_COUNT] = "SELECT count(*) FROM run",
    [RUNS_READ] = "SELECT run FROM run",
    [ROW_BEFORE] = ("SELECT place, keys FROM find WHERE place < ?1 AND place >= ?2"
                    " ORDER BY place DESC LIMIT 1"),
};

/* What a run, or the fresh keys, still have; read from the end. */
struct source {
    uint32_t run;          /* 0: the fresh ones */
    int64_t place;         /* rows from here on were read */
    struct find_key *keys; /* up to the next one to tell */
    size_t count;
};

struct find_cursor {
    struct db db;
    int64_t seed;
    uint8_t hash[FIND_HASH_BYTES];
    uint32_t number; /* the hash as one */
    struct id last;  /* told */
    bool any;
    size_t source_count;
    struct source sources[];
};

/* ---- one source ---- */

static int compare_hash(const struct find_cursor *c, const struct find_key *key)
{
    return memcmp(key->bytes, c->hash, FIND_HASH_BYTES);
}

/* Keeps those up to the last one with the hash. */
static int take_keys(const struct find_cursor *c, struct source *from, int64_t number,
                     struct span value, size_t max)
{
    int r = find_unseal(number, value, max, from->keys, &from->count);

    while (from->count && compare_hash(c, &from->keys[from->count - 1]) > 0)
        from->count--;
    return r;
}

/* The row before the one that is held; none: the source is at its end. */
static int read_row(struct find_cursor *c, struct source *from)
{
    sqlite3_stmt *s = db_statement(&c->db, ROW_BEFORE);

    if (!s)
        return db_error(&c->db);
    sqlite3_bind_int64(s, 1, from->place);
    sqlite3_bind_int64(s, 2, find_place(from->run, 0, 0));
    from->count = 0;
    int r = db_step(s);
    if (r <= 0)
        return r;
    from->place = sqlite3_column_int64(s, 0);
    r = take_keys(c, from, from->place, db_column(s, 1), FIND_ROW_KEYS);
    sqlite3_reset(s);
    return r;
}

/* The source's last one that wasn't told, NULL when it has none. */
static const struct find_key *last_of(const struct find_cursor *c, const struct source *from)
{
    if (from->count == 0 || compare_hash(c, &from->keys[from->count - 1]) != 0)
        return NULL;
    return &from->keys[from->count - 1];
}

static int drop_last(struct find_cursor *c, struct source *from)
{
    return --from->count > 0 || from->run == 0 ? 0 : read_row(c, from);
}

/* ---- opening ---- */

static int open_fresh(struct find_cursor *c, enum find_kind kind, struct span text)
{
    struct source *fresh = &c->sources[c->source_count++];
    sqlite3_stmt *s = db_statement(&c->db, FRESH_READ);

    fresh->keys = malloc(FIND_FRESH_KEYS * sizeof(*fresh->keys));
    if (!s || !fresh->keys)
        return s ? -ENOMEM : db_error(&c->db);
    int r = db_step(s);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    c->seed = sqlite3_column_int64(s, 0);
    c->number = find_hash(c->seed, kind, text);
    find_put_hash(c->number, c->hash);
    r = take_keys(c, fresh, c->seed, db_column(s, 1), FIND_FRESH_KEYS);
    sqlite3_reset(s);
    return r;
}

static int open_run(struct find_cursor *c, uint32_t number)
{
    struct source *run = &c->sources[c->source_count++];

    *run = (struct source){.run = number,
                           .place = find_place(number, c->number, FIND_ORDINAL_MAX) + 1,
                           .keys = malloc(FIND_ROW_KEYS * sizeof(*run->keys))};
    return run->keys ? read_row(c, run) : -ENOMEM;
}

static int open_runs(struct find_cursor *c, size_t max)
{
    sqlite3_stmt *s = db_statement(&c->db, RUNS_READ);
    int r = s ? 0 : db_error(&c->db);

    while (r == 0 && (r = db_step(s)) == 1) {
        int64_t number = sqlite3_column_int64(s, 0);
        bool fits = number > 0 && number <= FIND_RUN_NUMBER_MAX && c->source_count < max;
        r = fits ? open_run(c, (uint32_t)number) : -EUCLEAN;
    }
    if (r < 0 && s)
        sqlite3_reset(s);
    return r;
}

int find_open(struct db *db, enum find_kind kind, struct span text, struct find_cursor **out)
{
    int64_t runs;
    int r = db_number(db, sql[RUNS_COUNT], &runs);

    if (r < 0 || runs > FIND_RUNS_MAX)
        return r < 0 ? r : -EUCLEAN;
    size_t max = (size_t)runs + 1;
    struct find_cursor *c = calloc(1, sizeof(*c) + max * sizeof(c->sources[0]));
    r = c ? db_share(db, sql, STATEMENT_COUNT, &c->db) : -ENOMEM;
    if (r == 0)
        r = open_fresh(c, kind, text);
    if (r == 0)
        r = open_runs(c, max);
    if (r < 0) {
        find_close(c);
        return r;
    }
    *out = c;
    return 0;
}

void find_close(struct find_cursor *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->source_count; i++)
        free(c->sources[i].keys);
    db_unshare(&c->db);
    free(c);
}

/* ---- going on ---- */

/* 1; 0. It may be one that was told. */
static int next_key(struct find_cursor *c, struct id *out)
{
    struct source *best = NULL;

    for (size_t i = 0; i < c->source_count; i++) {
        const struct find_key *key = last_of(c, &c->sources[i]);
        if (key && (!best || memcmp(key, last_of(c, best), FIND_KEY_BYTES) > 0))
            best = &c->sources[i];
    }
    if (!best)
        return 0;
    memcpy(out->bytes, last_of(c, best)->bytes + FIND_HASH_BYTES, ID_BYTES);
    int r = drop_last(c, best);
    return r < 0 ? r : 1;
}

int find_next(struct find_cursor *c, struct id *out)
{
    int r;

    do
        r = next_key(c, out);
    while (r == 1 && c->any && id_equal(&c->last, out));
    c->any = true;
    c->last = *out;
    return r;
}
