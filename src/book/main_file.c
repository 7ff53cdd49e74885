/*
 * Small and written seldom: everything is read at the opening and kept in memory, each change is
 * one transaction of its own. What is in memory changes only when that is durable.
 *
 * `anew` tells of lanes, `remade` which files lack what these had of old. Three tables tell of
 * files: `chain` what each must have, `deleted` what retention took, `lost` what one had before it
 * was damaged or found to lack something. A week moves from `chain` to one of the others; from
 * `deleted` it comes to `lost` when a clock was wrong (main_file_revive()).
 */
#include "book/main_file.h"

#include "book/position_row.h"
#include "book/positions.h"
#include "book/schema.h"
#include "book/volume.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum statement {
    LANE_READ,
    LANE_WRITE,
    LANE_FORGET,
    LANE_DROP,
    COPY_READ,
    COPY_WRITE,
    COPY_FORGET,
    COPY_DROP,
    DELETED_READ,
    DELETED_ADD,
    DAMAGE_ADD,
    CHAIN_READ,
    CHAIN_WRITE,
    CHAIN_FORGET,
    LOST_READ,
    LOST_ADD,
    LOST_FORGET,
    LOST_ADD_DELETED,
    DELETED_FORGET,
    CLOCK_READ,
    CLOCK_FORGET,
    CLOCK_WRITE,
    ANEW_READ,
    ANEW_WRITE,
    ANEW_DROP,
    REMADE_READ,
    REMADE_ADD,
    REMADE_FORGET,
    REMADE_ANY,
    STATEMENT_COUNT
};

static const char *const sql[STATEMENT_COUNT] = {
    [LANE_READ] = "SELECT lane, segment, offset FROM lane",
    [LANE_WRITE] = "INSERT OR REPLACE INTO lane VALUES (?1, ?2, ?3)",
    [LANE_FORGET] = "DELETE FROM lane",
    [LANE_DROP] = "DELETE FROM lane WHERE lane < (SELECT max(lane) FROM lane) AND lane NOT IN"
                  " (SELECT lane FROM chain UNION SELECT lane FROM lost)",
    [COPY_READ] = "SELECT lane, segment, offset, sum FROM position",
    [COPY_WRITE] = "INSERT OR REPLACE INTO position VALUES (?1, ?2, ?3, ?4)",
    [COPY_FORGET] = "DELETE FROM position",
    [COPY_DROP] = "DELETE FROM position WHERE lane NOT IN (SELECT lane FROM lane)",
    [DELETED_READ] = "SELECT kind, week, max(deleted_us) FROM deleted GROUP BY kind, week",
    [DELETED_ADD] = "INSERT OR REPLACE INTO deleted VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [DAMAGE_ADD] = "INSERT INTO damage VALUES (?1, ?2, ?3)",
    [CHAIN_READ] = "SELECT kind, week, lane, segment, offset, events, head FROM chain"
                   " ORDER BY kind, week, lane",
    [CHAIN_WRITE] = "INSERT OR REPLACE INTO chain VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [CHAIN_FORGET] = "DELETE FROM chain WHERE kind = ?1 AND week = ?2",
    [LOST_READ] = "SELECT kind, week, lane, segment, offset, events, head FROM lost"
                  " ORDER BY kind, week, lane, events",
    [LOST_ADD] = "INSERT OR IGNORE INTO lost SELECT * FROM chain WHERE kind = ?1 AND week = ?2",
    [LOST_FORGET] = "DELETE FROM lost WHERE kind = ?1 AND week = ?2",
    [LOST_ADD_DELETED] = "INSERT OR IGNORE INTO lost SELECT kind, week, lane, segment, offset,"
                         " events, head FROM deleted WHERE kind = ?1 AND week = ?2",
    [DELETED_FORGET] = "DELETE FROM deleted WHERE kind = ?1 AND week = ?2",
    [CLOCK_READ] = "SELECT looked_us, trusted_us FROM clock",
    [CLOCK_FORGET] = "DELETE FROM clock",
    [CLOCK_WRITE] = "INSERT INTO clock VALUES (?1, ?2)",
    [ANEW_READ] = "SELECT lane, segment, offset, found_us FROM anew",
    [ANEW_WRITE] = "INSERT OR REPLACE INTO anew VALUES (?1, ?2, ?3, ?4)",
    [ANEW_DROP] = "DELETE FROM anew WHERE lane < (SELECT max(lane) FROM lane) AND lane NOT IN"
                  " (SELECT lane FROM lane)", /* the next may just have begun */
    [REMADE_READ] = "SELECT 1 FROM remade WHERE kind = ?1 AND week = ?2",
    [REMADE_ADD] = "INSERT OR IGNORE INTO remade VALUES (?1, ?2)",
    [REMADE_FORGET] = "DELETE FROM remade",
    [REMADE_ANY] = "SELECT 1 FROM remade LIMIT 1",
};

struct deleted_week {
    enum week_kind kind;
    int week;
    int64_t deleted_us;
};

struct main_file {
    struct db db;
    struct positions positions;
    bool was_mended;              /* they were, at the opening */
    struct deleted_week *deleted; /* one a week and kind: some hundred after years */
    size_t deleted_count;
    struct main_file_clock clock;
    struct main_file_anew anew[VOLUME_LANES_MAX];
    size_t anew_count;
    bool has_remade; /* some file is being made anew */
};

static int read_rows(struct main_file *m, enum statement statement, struct position_rows *out)
{
    sqlite3_stmt *s = db_statement(&m->db, statement);
    int r = s ? 0 : db_error(&m->db);

    out->count = 0;
    while (r == 0 && (r = db_step(s)) == 1) {
        int64_t lane = sqlite3_column_int64(s, 0);
        struct book_position at = position_column(s, 0);
        bool is_sound =
            statement == LANE_READ || (uint64_t)sqlite3_column_int64(s, 3) == positions_sum(&at);
        r = positions_add_row(out, lane, at, is_sound) < 0 ? -EUCLEAN : 0;
    }
    sqlite3_reset(s);
    return r;
}

/* `has_copies`: there is a table of them. */
static int read_positions(struct main_file *m, bool has_copies)
{
    struct position_rows lanes, copies = {.count = 0};
    int r = read_rows(m, LANE_READ, &lanes);

    if (r == 0 && has_copies)
        r = read_rows(m, COPY_READ, &copies);
    if (r == 0)
        positions_settle(&lanes, &copies, &m->positions);
    return r;
}

/* Asked for each input, so it is kept in memory: some hundred rows after years. */
static int remember_deleted(struct main_file *m, const struct deleted_week *week)
{
    struct deleted_week *more = realloc(m->deleted, (m->deleted_count + 1) * sizeof(*m->deleted));
    if (!more)
        return -ENOMEM;
    m->deleted = more;
    m->deleted[m->deleted_count++] = *week;
    return 0;
}

static int read_deleted(struct main_file *m)
{
    sqlite3_stmt *s = db_statement(&m->db, DELETED_READ);
    int r = s ? 0 : db_error(&m->db);

    while (r == 0 && (r = db_step(s)) == 1)
        r = remember_deleted(m, &(struct deleted_week){(enum week_kind)sqlite3_column_int(s, 0),
                                                       sqlite3_column_int(s, 1),
                                                       sqlite3_column_int64(s, 2)});
    sqlite3_reset(s);
    return r;
}

static int read_clock(struct main_file *m)
{
    sqlite3_stmt *s = db_statement(&m->db, CLOCK_READ);
    int r = s ? db_step(s) : db_error(&m->db);

    if (r == 1)
        m->clock = (struct main_file_clock){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
    sqlite3_reset(s);
    return r < 0 ? r : 0;
}

static int read_anew(struct main_file *m)
{
    sqlite3_stmt *s = db_statement(&m->db, ANEW_READ);
    int r = s ? 0 : db_error(&m->db);

    m->anew_count = 0;
    while (r == 0 && (r = db_step(s)) == 1) {
        r = m->anew_count == VOLUME_LANES_MAX ? -EUCLEAN : 0;
        if (r == 0)
            m->anew[m->anew_count++] =
                (struct main_file_anew){position_column(s, 0), sqlite3_column_int64(s, 3)};
    }
    sqlite3_reset(s);
    return r;
}

/* Whether any file is being made anew, which seldom is so, is kept in memory. */
static int read_remade(struct main_file *m)
{
    sqlite3_stmt *s = db_statement(&m->db, REMADE_ANY);
    int r = s ? db_step(s) : db_error(&m->db);

    m->has_remade = r == 1;
    sqlite3_reset(s);
    return r < 0 ? r : 0;
}

/* A path that was cut would be another file. */
static int open_db(const char *folder, enum db_mode mode, struct db *out)
{
    char path[4096];

    return snprintf(path, sizeof(path), "%s/" MAIN_FILE_NAME, folder) < (int)sizeof(path)
               ? db_open(path, mode, sql, STATEMENT_COUNT, out)
               : -ENAMETOOLONG;
}

/* 1; 0: an older Postbuch wrote the file last, there is no such table yet; -errno. */
static int has_table(struct db *db, const char *count_sql)
{
    int64_t count = 0;
    int r = db_number(db, count_sql, &count);

    return r < 0 ? r : count > 0;
}

/* In one transaction: between rows and copies the book may commit. */
static int read_beside(struct main_file *m)
{
    int r = schema_check(&m->db, SCHEMA_MAIN);

    if (r == 0)
        r = db_exec(&m->db, "BEGIN");
    if (r == 0)
        r = has_table(&m->db, "SELECT count(*) FROM sqlite_master WHERE name = 'position'");
    return r < 0 ? r : read_positions(m, r == 1);
}

/* For readers beside the server. Without a file, or with one that nobody has made a table in,
 * nothing is folded: the position is the log's start. */
int main_file_read_position(const char *folder, struct book_position *out, bool *out_was_damaged)
{
    struct main_file m = {.was_mended = false};
    int r = open_db(folder, DB_READ, &m.db);

    if (r == 0) {
        r = read_beside(&m);
        db_done(&m.db);
    }
    if (r < 0 && r != -ENOENT && r != -ENODATA)
        return db_plain_error(r);
    *out = main_file_position(&m, main_file_last_lane(&m));
    *out_was_damaged = m.positions.was_damaged;
    return 0;
}

/* A hash of another size (the file is damaged) becomes all zero, which no chain ends with. */
void main_file_column_head(sqlite3_stmt *s, struct main_file_head *out)
{
    *out = (struct main_file_head){.kind = (enum week_kind)sqlite3_column_int(s, 0),
                                   .week = sqlite3_column_int(s, 1),
                                   .at = position_column(s, 2),
                                   .events = (uint64_t)sqlite3_column_int64(s, 5)};
    db_column_fixed(s, 6, out->head.bytes, CHAIN_HASH_BYTES);
}

static int read_heads(struct db *db, enum statement statement, struct main_file_heads *out)
{
    sqlite3_stmt *s = db_statement(db, statement);
    int r = s ? 0 : db_error(db);

    *out = (struct main_file_heads){0};
    while (r == 0 && (r = db_step(s)) == 1) {
        struct main_file_head *more = realloc(out->list, (out->count + 1) * sizeof(*more));
        r = more ? 0 : -ENOMEM;
        if (!more)
            break;
        out->list = more;
        main_file_column_head(s, &out->list[out->count++]);
    }
    if (s)
        sqlite3_reset(s);
    if (r < 0) {
        free(out->list);
        *out = (struct main_file_heads){0};
    }
    return r;
}

int main_file_heads(struct main_file *m, struct main_file_heads *out)
{
    return read_heads(&m->db, CHAIN_READ, out);
}

int main_file_read_heads(const char *folder, enum main_file_heads_kind kind,
                         struct main_file_heads *out)
{
    struct db db;
    int r = open_db(folder, DB_READ, &db);

    *out = (struct main_file_heads){0};
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = schema_check(&db, SCHEMA_MAIN);
    if (r == 0)
        r = has_table(&db, "SELECT count(*) FROM sqlite_master WHERE name = 'lost'");
    if (r == 1)
        r = read_heads(&db, kind == MAIN_FILE_LOST ? LOST_READ : CHAIN_READ, out);
    db_done(&db);
    return r == -ENODATA ? 0 : r;
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

static int write_row(struct main_file *m, enum statement statement, const struct book_position *at)
{
    sqlite3_stmt *s = db_statement(&m->db, statement);

    if (!s)
        return db_error(&m->db);
    position_bind(s, 1, at);
    if (statement == COPY_WRITE)
        sqlite3_bind_int64(s, 4, (sqlite3_int64)positions_sum(at));
    return db_run(s);
}

/* In this order: the row takes its copy away (schema.c). */
static int write_position(struct main_file *m, const struct book_position *at)
{
    int r = write_row(m, LANE_WRITE, at);
    return r < 0 ? r : write_row(m, COPY_WRITE, at);
}

static int run_statement(struct main_file *m, enum statement statement)
{
    sqlite3_stmt *s = db_statement(&m->db, statement);
    return s ? db_run(s) : db_error(&m->db);
}

static int write_anew(struct main_file *m)
{
    int r = run_statement(m, LANE_FORGET);

    if (r == 0)
        r = run_statement(m, COPY_FORGET);
    for (size_t i = 0; r == 0 && i < m->positions.count; i++)
        r = write_position(m, &m->positions.list[i]);
    return r;
}

/* All anew, since what is damaged may be the key of a row. */
static int open_positions(struct main_file *m)
{
    int r = read_positions(m, true);

    m->was_mended = r == 0 && m->positions.was_damaged;
    if (r < 0 || !m->positions.is_new)
        return r;
    r = db_exec(&m->db, "BEGIN IMMEDIATE");
    return r < 0 ? r : finish(m, write_anew(m));
}

bool main_file_was_mended(const struct main_file *m)
{
    return m->was_mended;
}

/* A statement that can't be prepared would else be found out only when a batch is to be committed.
 * That our own SQL is wrong means that a name in the file is damaged; any other cause passes. */
static int prepare_early(struct main_file *m)
{
    static const enum statement early[] = {LANE_WRITE, CHAIN_WRITE, LOST_ADD,
                                           COPY_READ,  ANEW_READ,   REMADE_READ};

    for (size_t i = 0; i < ARRAY_SIZE(early); i++)
        if (!db_statement(&m->db, early[i])) {
            int r = db_error(&m->db);
            return r == -EINVAL ? -EUCLEAN : r;
        }
    return 0;
}

int main_file_open(const char *folder, struct main_file **out)
{
    struct main_file *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    int r = open_db(folder, DB_WRITE, &m->db);
    if (r == 0)
        r = schema_make(&m->db, SCHEMA_MAIN);
    if (r == 0)
        r = prepare_early(m);
    if (r == 0)
        r = open_positions(m);
    if (r == 0)
        r = read_deleted(m);
    if (r == 0)
        r = read_clock(m);
    if (r == 0)
        r = read_anew(m);
    if (r == 0)
        r = read_remade(m);
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

/* A lane that isn't known starts at zero: its log is read from its beginning. */
struct book_position main_file_position(const struct main_file *m, uint32_t lane)
{
    const struct book_position *at = positions_find(&m->positions, lane);
    return at ? *at : (struct book_position){.lane = lane};
}

/* Lanes are numbered in the order in which logs were begun. */
uint32_t main_file_last_lane(const struct main_file *m)
{
    uint32_t last = 0;

    for (size_t i = 0; i < m->positions.count; i++)
        if (m->positions.list[i].lane > last)
            last = m->positions.list[i].lane;
    return last;
}

size_t main_file_lane_count(const struct main_file *m)
{
    return m->positions.count;
}

bool main_file_has_other_lane(const struct main_file *m, uint32_t lane)
{
    for (size_t i = 0; i < m->positions.count; i++)
        if (m->positions.list[i].lane != lane && m->positions.list[i].segment > 0)
            return true;
    return false;
}

struct main_file_anew main_file_anew(const struct main_file *m, uint32_t lane)
{
    for (size_t i = 0; i < m->anew_count; i++)
        if (m->anew[i].until.lane == lane)
            return m->anew[i];
    return (struct main_file_anew){.until = {.lane = lane}};
}

int main_file_set_anew(struct main_file *m, const struct main_file_anew *anew)
{
    sqlite3_stmt *s = db_statement(&m->db, ANEW_WRITE);

    if (!s)
        return db_error(&m->db);
    position_bind(s, 1, &anew->until);
    sqlite3_bind_int64(s, 4, anew->found_us);
    int r = db_run(s);
    return r < 0 ? r : read_anew(m);
}

/* CHAIN and DELETED rows begin with the same columns, so one function binds both. */
static int write_head(struct main_file *m, enum statement statement,
                      const struct main_file_head *head, int64_t now_us)
{
    sqlite3_stmt *s = db_statement(&m->db, statement);

    if (!s)
        return db_error(&m->db);
    sqlite3_bind_int(s, 1, (int)head->kind);
    sqlite3_bind_int(s, 2, head->week);
    position_bind(s, 3, &head->at);
    sqlite3_bind_int64(s, 6, (sqlite3_int64)head->events);
    db_bind_blob(s, 7, head->head.bytes, CHAIN_HASH_BYTES);
    if (statement == DELETED_ADD)
        sqlite3_bind_int64(s, 8, now_us);
    return db_run(s);
}

static int run_for_week(struct main_file *m, enum statement statement, enum week_kind kind,
                        int week)
{
    sqlite3_stmt *s = db_statement(&m->db, statement);

    if (!s)
        return db_error(&m->db);
    sqlite3_bind_int(s, 1, (int)kind);
    sqlite3_bind_int(s, 2, week);
    return db_run(s);
}

int main_file_is_remade(struct main_file *m, enum week_kind kind, int week)
{
    sqlite3_stmt *s = m->has_remade ? db_statement(&m->db, REMADE_READ) : NULL;

    if (!s)
        return m->has_remade ? db_error(&m->db) : 0;
    sqlite3_bind_int(s, 1, (int)kind);
    sqlite3_bind_int(s, 2, week);
    int r = db_step(s);
    sqlite3_reset(s);
    return r;
}

int main_file_note_remade(struct main_file *m, enum week_kind kind, int week)
{
    int r = run_for_week(m, REMADE_ADD, kind, week);
    return r < 0 ? r : read_remade(m);
}

/* Who has come to the end of a log that was followed anew has all that is left of it. */
static bool ends_anew(const struct main_file *m, const struct book_position *at)
{
    struct main_file_anew anew = main_file_anew(m, at->lane);
    return anew.until.segment && book_position_compare(at, &anew.until) >= 0;
}

static int forget_remade(struct main_file *m, const struct book_position *positions, size_t count)
{
    int r = 0;

    for (size_t i = 0; m->has_remade && r == 0 && i < count; i++)
        if (ends_anew(m, &positions[i]))
            r = run_statement(m, REMADE_FORGET);
    return r;
}

/* -EBUSY: another process has written the file since they were read. */
static int check_positions(struct main_file *m)
{
    struct positions known = m->positions;
    int r = read_positions(m, true);

    if (r < 0 || positions_equal(&known, &m->positions))
        return r;
    m->positions = known; /* so that the next look finds it, too */
    return -EBUSY;
}

static int write_positions(struct main_file *m, const struct book_position *positions, size_t count,
                           const struct main_file_head *heads, size_t head_count)
{
    int r = check_positions(m);

    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_position(m, &positions[i]);
    for (size_t i = 0; r == 0 && i < head_count; i++)
        r = write_head(m, CHAIN_WRITE, &heads[i], 0);
    return r < 0 ? r : forget_remade(m, positions, count);
}

/* Positions and what the files must have in one transaction: a crash finds both of before or both
 * of after. What is kept in memory is read again from the file, so it can't say more than what is
 * durable. */
int main_file_set_positions(struct main_file *m, const struct book_position *positions,
                            size_t count, const struct main_file_head *heads, size_t head_count)
{
    if (count + head_count == 0)
        return 0;
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    r = finish(m, write_positions(m, positions, count, heads, head_count));
    if (r == 0 && m->has_remade)
        r = read_remade(m);
    return r < 0 ? r : read_positions(m, true);
}

static int drop_lanes(struct main_file *m)
{
    static const enum statement drops[] = {LANE_DROP, COPY_DROP, ANEW_DROP};
    int r = check_positions(m);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(drops); i++)
        r = run_statement(m, drops[i]);
    return r;
}

/* Each log that was there once would else count for ever, and of all lanes there is room for some
 * dozens. Their numbers aren't used again: a file of theirs may come back from a copy. */
int main_file_drop_lanes(struct main_file *m)
{
    if (m->positions.count <= 1)
        return 0;
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");
    if (r == 0)
        r = finish(m, drop_lanes(m));
    if (r == 0)
        r = read_positions(m, true);
    return r < 0 ? r : read_anew(m);
}

/* What there was is looked for in what is made anew. */
static int lose_heads(struct main_file *m, enum week_kind kind, int week)
{
    int r = run_for_week(m, LOST_ADD, kind, week);

    if (r == 0)
        r = run_for_week(m, CHAIN_FORGET, kind, week);
    return r < 0 ? r : run_for_week(m, REMADE_ADD, kind, week);
}

/* All positions go back to zero, not the file's alone: which lanes it had of the log only the log
 * tells. The other files skip what they have. */
static int run_damage(struct main_file *m, const char *name, const char *aside, int64_t now_us)
{
    sqlite3_stmt *s = db_statement(&m->db, DAMAGE_ADD);
    enum week_kind kind;
    int week;

    if (!s)
        return db_error(&m->db);
    db_bind_text(s, 1, span_from_cstr(name));
    db_bind_text(s, 2, span_from_cstr(aside));
    sqlite3_bind_int64(s, 3, now_us);
    int r = db_run(s);
    if (r == 0 && week_parse_file(name, &kind, &week) == 0)
        r = lose_heads(m, kind, week);
    for (size_t i = 0; r == 0 && i < m->positions.count; i++)
        r = write_position(m, &(struct book_position){.lane = m->positions.list[i].lane});
    return r;
}

/* The row, the loss of the heads and the lanes' return to zero in one transaction: with only the
 * first a crash would leave the file empty and the fold behind it. */
int main_file_note_damage(struct main_file *m, const char *name, const char *aside, int64_t now_us)
{
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    r = finish(m, run_damage(m, name, aside, now_us));
    if (r == 0)
        r = read_remade(m);
    return r < 0 ? r : read_positions(m, true);
}

static struct deleted_week *find_deleted(const struct main_file *m, enum week_kind kind, int week)
{
    for (size_t i = 0; i < m->deleted_count; i++)
        if (m->deleted[i].kind == kind && m->deleted[i].week == week)
            return &m->deleted[i];
    return NULL;
}

bool main_file_is_deleted(const struct main_file *m, enum week_kind kind, int week)
{
    return find_deleted(m, kind, week);
}

/* The events are still in the log or they are gone; either way the fold begins anew for this file,
 * as for a damaged one. */
static int run_revival(struct main_file *m, enum week_kind kind, int week, int64_t now_us)
{
    char name[WEEK_FILE_SIZE];
    int r = run_for_week(m, LOST_ADD_DELETED, kind, week);

    if (r == 0)
        r = run_for_week(m, DELETED_FORGET, kind, week);
    week_file(kind, week, name);
    return r == 0 ? run_damage(m, name, "", now_us) : r;
}

/* A week was deleted at a time that hasn't come yet: the clock was ahead then. What is booked for
 * such a week is booked again instead of being dropped as old. */
int main_file_revive(struct main_file *m, enum week_kind kind, int week, int64_t now_us)
{
    struct deleted_week *deleted = find_deleted(m, kind, week);

    if (!deleted || deleted->deleted_us <= now_us)
        return 0;
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");
    if (r == 0)
        r = finish(m, run_revival(m, kind, week, now_us));
    if (r == 0)
        r = read_positions(m, true);
    if (r < 0)
        return r;
    *deleted = m->deleted[--m->deleted_count];
    return 1;
}

int main_file_forget_lost(struct main_file *m, enum week_kind kind, int week)
{
    return run_for_week(m, LOST_FORGET, kind, week);
}

struct main_file_clock main_file_clock(const struct main_file *m)
{
    return m->clock;
}

static int write_clock(struct main_file *m, const struct main_file_clock *clock)
{
    sqlite3_stmt *forget = db_statement(&m->db, CLOCK_FORGET);
    sqlite3_stmt *write = db_statement(&m->db, CLOCK_WRITE);

    if (!forget || !write)
        return db_error(&m->db);
    sqlite3_bind_int64(write, 1, clock->looked_us);
    sqlite3_bind_int64(write, 2, clock->trusted_us);
    int r = db_run(forget);
    return r == 0 ? db_run(write) : r;
}

/* Two statements and one transaction: the table has one row, or none. */
int main_file_set_clock(struct main_file *m, const struct main_file_clock *clock)
{
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");

    if (r == 0)
        r = finish(m, write_clock(m, clock));
    if (r == 0)
        m->clock = *clock;
    return r;
}

/* Before the files go (expire.c). In one transaction with the end of what they had to have: else a
 * crash between would make a deleted week one that is missed. */
int main_file_note_deleted(struct main_file *m, const struct main_file_head *heads, size_t count,
                           int64_t now_us)
{
    int r = db_exec(&m->db, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_head(m, DELETED_ADD, &heads[i], now_us);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = run_for_week(m, CHAIN_FORGET, heads[i].kind, heads[i].week);
        r = r < 0 ? r : main_file_forget_lost(m, heads[i].kind, heads[i].week);
    }
    r = finish(m, r);
    for (size_t i = 0; r == 0 && i < count; i++)
        if (!main_file_is_deleted(m, heads[i].kind, heads[i].week))
            r = remember_deleted(m, &(struct deleted_week){heads[i].kind, heads[i].week, now_us});
    return r;
}
