/*
 * Every value's checksum, and that the rows of each run are where their keys belong, in order, and
 * as many as the run's own row says.
 */
#include "book/find_check.h"

#include "book/find.h"
#include <errno.h>

enum statement { FRESH_READ, RUNS_READ, ROWS_READ, ROWS_COUNT, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [FRESH_READ] = "SELECT seed, keys FROM fresh",
    [RUNS_READ] = "SELECT run, keys FROM run",
    [ROWS_READ] = "SELECT place, keys FROM find WHERE place >= ?1 AND place < ?2 ORDER BY place",
    [ROWS_COUNT] = "SELECT count(*) FROM find",
};

struct check {
    struct db db;
    int64_t rows;                          /* so far, of all runs */
    struct find_key keys[FIND_FRESH_KEYS]; /* of the value that is held */
    size_t count;
};

/* One run's rows so far. */
struct run {
    uint32_t number;
    uint64_t keys;
    struct find_key last;
    uint32_t hash, ordinal; /* of the row before */
};

static bool is_in_order(const struct check *c, const struct run *run)
{
    const struct find_key *before = run->keys ? &run->last : NULL;

    for (size_t i = 0; i < c->count; before = &c->keys[i++])
        if (before && memcmp(before, &c->keys[i], FIND_KEY_BYTES) >= 0)
            return false;
    return c->count > 0;
}

static int check_row(struct check *c, struct run *run, sqlite3_stmt *s)
{
    int64_t place = sqlite3_column_int64(s, 0);
    int r = find_unseal(place, db_column(s, 1), FIND_ROW_KEYS, c->keys, &c->count);

    if (r < 0 || !is_in_order(c, run))
        return -EUCLEAN;
    uint32_t hash = find_get_hash(&c->keys[0]);
    run->ordinal = run->keys && hash == run->hash ? run->ordinal + 1 : 0;
    run->hash = hash;
    run->keys += c->count;
    run->last = c->keys[c->count - 1];
    c->rows++;
    return place == find_place(run->number, hash, run->ordinal) ? 0 : -EUCLEAN;
}

static int check_run(struct check *c, int64_t number, uint64_t keys)
{
    struct run run = {.number = (uint32_t)number};
    sqlite3_stmt *s = db_statement(&c->db, ROWS_READ);
    int r;

    if (number <= 0 || number > FIND_RUN_NUMBER_MAX || !s)
        return s ? -EUCLEAN : db_error(&c->db);
    sqlite3_bind_int64(s, 1, find_place(run.number, 0, 0));
    sqlite3_bind_int64(s, 2, find_place_end(run.number));
    while ((r = db_step(s)) == 1 && (r = check_row(c, &run, s)) == 0)
        ;
    if (r < 0)
        sqlite3_reset(s);
    return r == 0 && run.keys != keys ? -EUCLEAN : r;
}

static int check_runs(struct check *c)
{
    sqlite3_stmt *s = db_statement(&c->db, RUNS_READ);
    int64_t rows = 0;
    int r = s ? 0 : db_error(&c->db);

    while (r == 0 && (r = db_step(s)) == 1)
        r = check_run(c, sqlite3_column_int64(s, 0), (uint64_t)sqlite3_column_int64(s, 1));
    if (r < 0 && s)
        sqlite3_reset(s);
    if (r == 0)
        r = db_number(&c->db, sql[ROWS_COUNT], &rows);
    return r == 0 && rows != c->rows ? -EUCLEAN : r;
}

/* 1; 0: there is no aid. */
static int check_fresh(struct check *c)
{
    sqlite3_stmt *s = db_statement(&c->db, FRESH_READ);
    int r = s ? db_step(s) : db_error(&c->db);

    if (r <= 0)
        return r;
    r = find_unseal(sqlite3_column_int64(s, 0), db_column(s, 1), FIND_FRESH_KEYS - 1, c->keys,
                    &c->count);
    sqlite3_reset(s);
    return r < 0 ? r : 1;
}

int find_check(struct db *db)
{
    struct check c = {.rows = 0};
    int r = db_share(db, sql, STATEMENT_COUNT, &c.db);

    if (r == 0)
        r = check_fresh(&c);
    if (r == 1)
        r = check_runs(&c);
    db_unshare(&c.db);
    return r;
}
