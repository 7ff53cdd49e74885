/*
 * Small and written seldom: everything is read at the opening and kept in memory, each change is
 * one transaction of its own.
 */
#include "book/main_file.h"

#include "book/schema.h"
#include "book/volume.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum statement {
    LANE_READ,
    LANE_WRITE,
    LANE_RESET,
    DELETED_READ,
    DELETED_ADD,
    DAMAGE_ADD,
    STATEMENT_COUNT
};

static const char *const sql[STATEMENT_COUNT] = {
    [LANE_READ] = "SELECT lane, segment, offset FROM lane",
    [LANE_WRITE] = "INSERT OR REPLACE INTO lane VALUES (?1, ?2, ?3)",
    [LANE_RESET] = "UPDATE lane SET segment = 0, offset = 0",
    [DELETED_READ] = "SELECT DISTINCT kind, week FROM deleted",
    [DELETED_ADD] = "INSERT OR REPLACE INTO deleted VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [DAMAGE_ADD] = "INSERT INTO damage VALUES (?1, ?2, ?3)",
};

struct deleted_week {
    enum week_kind kind;
    int week;
};

struct main_file {
    struct db db;
    struct book_position lanes[VOLUME_LANES_MAX];
    size_t lane_count;
    struct deleted_week *deleted; /* one a week and kind: some hundred after years */
    size_t deleted_count;
};

static int read_lanes(struct main_file *m)
{
    sqlite3_stmt *s = db_statement(&m->db, LANE_READ);
    int r = s ? 0 : db_error(&m->db);

    m->lane_count = 0;
    while (r == 0 && (r = db_step(s)) == 1) {
        r = m->lane_count == VOLUME_LANES_MAX ? -EUCLEAN : 0;
        if (r == 0)
            m->lanes[m->lane_count++] =
                (struct book_position){.lane = (uint32_t)sqlite3_column_int64(s, 0),
                                       .segment = (uint64_t)sqlite3_column_int64(s, 1),
                                       .offset = (uint64_t)sqlite3_column_int64(s, 2)};
    }
    sqlite3_reset(s);
    return r;
}

static int remember_deleted(struct main_file *m, enum week_kind kind, int week)
{
    struct deleted_week *more = realloc(m->deleted, (m->deleted_count + 1) * sizeof(*m->deleted));
    if (!more)
        return -ENOMEM;
    m->deleted = more;
    m->deleted[m->deleted_count++] = (struct deleted_week){kind, week};
    return 0;
}

static int read_deleted(struct main_file *m)
{
    sqlite3_stmt *s = db_statement(&m->db, DELETED_READ);
    int r = s ? 0 : db_error(&m->db);

    while (r == 0 && (r = db_step(s)) == 1)
        r = remember_deleted(m, (enum week_kind)sqlite3_column_int(s, 0), sqlite3_column_int(s, 1));
    sqlite3_reset(s);
    return r;
}

static int open_db(const char *folder, enum db_mode mode, struct db *out)
{
    char path[4096];

    return snprintf(path, sizeof(path), "%s/" MAIN_FILE_NAME, folder) < (int)sizeof(path)
               ? db_open(path, mode, sql, STATEMENT_COUNT, out)
               : -ENAMETOOLONG;
}

int main_file_read_position(const char *folder, struct book_position *out)
{
    struct main_file m = {.lane_count = 0};
    int r = open_db(folder, DB_READ, &m.db);

    if (r == 0) {
        r = schema_check(&m.db);
        if (r == 0)
            r = read_lanes(&m);
        db_done(&m.db);
    }
    if (r < 0 && r != -ENOENT && r != -ENODATA)
        return r;
    *out = main_file_position(&m, main_file_last_lane(&m));
    return 0;
}

int main_file_open(const char *folder, struct main_file **out)
{
    struct main_file *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    r = open_db(folder, DB_WRITE, &m->db);
    if (r == 0)
        r = schema_make(&m->db, SCHEMA_MAIN);
    if (r == 0)
        r = read_lanes(m);
    if (r == 0)
        r = read_deleted(m);
    if (r < 0) {
        main_file_close(m);
        return r;
    }
    *out = m;
    return 0;
}

void main_file_close(struct main_file *m)
{
    if (!m)
        return;
    db_done(&m->db);
    free(m->deleted);
    free(m);
}

struct book_position main_file_position(const struct main_file *m, uint32_t lane)
{
    for (size_t i = 0; i < m->lane_count; i++)
        if (m->lanes[i].lane == lane)
            return m->lanes[i];
    return (struct book_position){.lane = lane};
}

uint32_t main_file_last_lane(const struct main_file *m)
{
    uint32_t last = 0;

    for (size_t i = 0; i < m->lane_count; i++)
        if (m->lanes[i].lane > last)
            last = m->lanes[i].lane;
    return last;
}

static int write_position(struct main_file *m, const struct book_position *at)
{
    sqlite3_stmt *s = db_statement(&m->db, LANE_WRITE);

    if (!s)
        return db_error(&m->db);
    sqlite3_bind_int64(s, 1, at->lane);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)at->segment);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)at->offset);
    return db_run(s);
}

/* Ends the transaction: all of it, or (on error) nothing. */
static int finish(struct main_file *m, int r)
{
    if (r == 0)
        r = db_exec(&m->db, "COMMIT");
    if (r < 0)
        db_exec(&m->db, "ROLLBACK");
    return r;
}

int main_file_set_positions(struct main_file *m, const struct book_position *positions,
                            size_t count)
{
    if (count == 0)
        return 0;
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_position(m, &positions[i]);
    r = finish(m, r);
    return r < 0 ? r : read_lanes(m);
}

static int run_damage(struct main_file *m, const char *name, const char *aside, int64_t now_us)
{
    sqlite3_stmt *s = db_statement(&m->db, DAMAGE_ADD);

    if (!s)
        return db_error(&m->db);
    db_bind_text(s, 1, span_from_cstr(name));
    db_bind_text(s, 2, span_from_cstr(aside));
    sqlite3_bind_int64(s, 3, now_us);
    int r = db_run(s);
    if (r < 0)
        return r;
    s = db_statement(&m->db, LANE_RESET);
    return s ? db_run(s) : db_error(&m->db);
}

int main_file_note_damage(struct main_file *m, const char *name, const char *aside, int64_t now_us)
{
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    r = finish(m, run_damage(m, name, aside, now_us));
    return r < 0 ? r : read_lanes(m);
}

bool main_file_is_deleted(const struct main_file *m, enum week_kind kind, int week)
{
    for (size_t i = 0; i < m->deleted_count; i++)
        if (m->deleted[i].kind == kind && m->deleted[i].week == week)
            return true;
    return false;
}

static int write_head(struct main_file *m, const struct main_file_head *head, int64_t now_us)
{
    sqlite3_stmt *s = db_statement(&m->db, DELETED_ADD);

    if (!s)
        return db_error(&m->db);
    sqlite3_bind_int(s, 1, (int)head->kind);
    sqlite3_bind_int(s, 2, head->week);
    sqlite3_bind_int64(s, 3, head->at.lane);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)head->at.segment);
    sqlite3_bind_int64(s, 5, (sqlite3_int64)head->at.offset);
    sqlite3_bind_int64(s, 6, (sqlite3_int64)head->events);
    db_bind_blob(s, 7, head->head.bytes, CHAIN_HASH_BYTES);
    sqlite3_bind_int64(s, 8, now_us);
    return db_run(s);
}

int main_file_note_deleted(struct main_file *m, const struct main_file_head *heads, size_t count,
                           int64_t now_us)
{
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_head(m, &heads[i], now_us);
    r = finish(m, r);
    for (size_t i = 0; r == 0 && i < count; i++)
        if (!main_file_is_deleted(m, heads[i].kind, heads[i].week))
            r = remember_deleted(m, heads[i].kind, heads[i].week);
    return r;
}
