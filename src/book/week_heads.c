#include "book/week_heads.h"

#include "book/schema.h"
#include <errno.h>

enum statement { LANE_READ, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [LANE_READ] = "SELECT ?1, ?2, lane, segment, offset, events, head FROM lane"};

static int read_lanes(struct db *db, const struct ledger_file *file, struct week_heads *out)
{
    sqlite3_stmt *s = db_statement(db, LANE_READ);
    int r = 0;

    if (!s)
        return db_error(db);
    sqlite3_bind_int(s, 1, (int)file->kind);
    sqlite3_bind_int(s, 2, file->week);
    while (r == 0 && (r = db_step(s)) == 1) {
        r = out->count < VOLUME_LANES_MAX ? 0 : -EUCLEAN;
        if (r == 0)
            main_file_column_head(s, &out->list[out->count++]);
    }
    if (r < 0)
        sqlite3_reset(s);
    return r;
}

static int read_file(struct db *db, const struct ledger_file *file, struct week_heads *out)
{
    int64_t waiting = 0;
    int r = schema_check(db, schema_of_week(file->kind));

    if (r == 0 && file->kind == WEEK_ENTRIES)
        r = db_number(db, "SELECT EXISTS (SELECT 1 FROM entry WHERE state = 1)", &waiting);
    out->waits = waiting != 0;
    return r < 0 ? r : read_lanes(db, file, out);
}

int week_heads_read(const char *folder, const struct ledger_file *file, struct week_heads *out)
{
    struct db db;
    int r = ledger_open(folder, file, DB_READ, sql, STATEMENT_COUNT, &db);

    out->count = 0;
    if (r < 0)
        return r;
    r = read_file(&db, file, out);
    db_done(&db);
    return r;
}

static const struct main_file_head *find(const struct week_heads *heads, uint32_t lane)
{
    for (size_t i = 0; i < heads->count; i++)
        if (heads->list[i].at.lane == lane)
            return &heads->list[i];
    return NULL;
}

static bool is_same(const struct main_file_head *a, const struct main_file_head *b)
{
    return a->events == b->events && chain_hash_equal(&a->head, &b->head);
}

/* A chain that is longer has grown from it, or was made anew to the same length and more: the audit
 * tells which, and compares the link itself. */
bool week_heads_reach(const struct week_heads *heads, const struct main_file_head *noted)
{
    const struct main_file_head *head = find(heads, noted->at.lane);

    return head && (head->events > noted->events || is_same(head, noted));
}

/* The position moves with an event and with nothing else (volume.c): the same chain has the same
 * position, or that one is damaged. */
bool week_heads_displaced(const struct week_heads *heads, const struct main_file_head *noted,
                          struct book_position *out_at)
{
    const struct main_file_head *head = find(heads, noted->at.lane);

    if (!head || !is_same(head, noted) || book_position_compare(&head->at, &noted->at) == 0)
        return false;
    *out_at = head->at;
    return true;
}
