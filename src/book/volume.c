/*
 * A week's file, its lanes and its one transaction. All that a batch brings to the file, rows, the
 * finding aid, the chain's end and the position, is committed together: so a crash leaves all of it
 * or none, and the position never says more or less than the rows.
 */
#include "book/volume.h"

#include "book/ledger.h"
#include "book/position_row.h"
#include "book/schema.h"
#include "book/volume_impl.h"
#include <errno.h>
#include <stdlib.h>

static const char *const sql[VOLUME_STATEMENT_COUNT] = {
    [VOLUME_LANE_READ] = "SELECT lane, segment, offset, events, head FROM lane ORDER BY lane",
    [VOLUME_LANE_WRITE] = "INSERT OR REPLACE INTO lane VALUES (?1, ?2, ?3, ?4, ?5)",
    [VOLUME_STATION_ADD] = "INSERT INTO station (host, ip) VALUES (?1, ?2)",
    [VOLUME_MESSAGE_ADD] = "INSERT OR IGNORE INTO message VALUES"
                           " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    [VOLUME_ENTRY_ADD] = "INSERT OR IGNORE INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)",
    [VOLUME_ENTRY_WRITE] =
        "INSERT OR IGNORE INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [VOLUME_ENTRY_KEY] = "SELECT key, state FROM entry WHERE message = ?1 AND recipient_index = ?2",
    [VOLUME_ENTRY_UPDATE] = "UPDATE entry SET state = ?3, since_us = ifnull(?4, since_us),"
                            " next_attempt_us = ?5"
                            " WHERE message = ?1 AND recipient_index = ?2",
    [VOLUME_ENTRY_LIST] = "SELECT recipient_index FROM entry"
                          " WHERE message = ?1 AND recipient_index > ?2"
                          " ORDER BY recipient_index LIMIT 1",
    [VOLUME_ENTRY_WAITING] = "SELECT recipient_index FROM entry"
                             " WHERE message = ?1 AND recipient_index > ?2 AND state = 1"
                             " ORDER BY recipient_index LIMIT 1",
    [VOLUME_EVENT_ADD] = "INSERT INTO event VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                         " ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    /* What is a duplicate (13) an earlier version booked as discarded (12). */
    [VOLUME_EVENT_KNOWN] = "SELECT 1 FROM event WHERE message IS ?1 AND recipient_index IS ?2"
                           " AND (kind = ?3 OR (?3 = 13 AND kind = 12)) AND time_us = ?4"
                           " AND (?5 IS NULL OR reply = ?5) LIMIT 1",
    [VOLUME_REFUSAL_KNOWN] = "SELECT 1 FROM refusal WHERE reference = ?1 AND time_us = ?2 LIMIT 1",
    [VOLUME_REFUSAL_ADD] = "INSERT INTO refusal VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                           " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
};

/* 1: *out is the next row's. What can't be so is damage, and the file is made anew: positions that
 * are believed and wrong would lose events in silence. */
static int step_lane(sqlite3_stmt *s, struct volume_lane *out)
{
    int r = db_step(s);

    if (r != 1)
        return r;
    *out = (struct volume_lane){.at = position_column(s, 0),
                                .events = (uint64_t)sqlite3_column_int64(s, 3),
                                .is_stored = true};
    return db_column_fixed(s, 4, out->head.bytes, CHAIN_HASH_BYTES) ? 1 : -EUCLEAN;
}

static int read_lanes(struct volume *v)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_LANE_READ);
    int r = s ? 1 : db_error(&v->db);
    struct volume_lane lane;

    while (r == 1 && (r = step_lane(s, &lane)) == 1) {
        if (v->lane_count < VOLUME_LANES_MAX)
            v->lanes[v->lane_count++] = lane;
        else
            r = -EUCLEAN;
    }
    sqlite3_reset(s);
    return r;
}

static int open_file(struct volume *v, const char *folder)
{
    const struct ledger_file file = {v->kind, v->week};
    int r = ledger_open(folder, &file, DB_WRITE, sql, VOLUME_STATEMENT_COUNT, &v->db);

    if (r == 0)
        r = schema_make(&v->db, schema_of_week(v->kind));
    return r == 0 ? read_lanes(v) : r;
}

int volume_open(const char *folder, enum week_kind kind, int week, struct chain *chain,
                struct volume **out)
{
    struct volume *v = calloc(1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    v->kind = kind;
    v->week = week;
    v->chain = chain;
    int r = open_file(v, folder);
    if (r == 0)
        r = intern_new(&v->stations);
    if (r == 0)
        r = pending_new(&v->pending);
    if (r == 0 && kind == WEEK_ENTRIES)
        r = volume_open_find(v);
    if (r < 0) {
        volume_close(v);
        return r;
    }
    *out = v;
    return 0;
}

/* What wasn't committed is rolled back with the connection; the log still has it. */
void volume_close(struct volume *v)
{
    if (!v)
        return;
    intern_free(v->stations);
    pending_free(v->pending);
    find_writer_free(v->find);
    db_done(&v->db);
    free(v);
}

enum week_kind volume_kind(const struct volume *v)
{
    return v->kind;
}

int volume_week(const struct volume *v)
{
    return v->week;
}

static struct volume_lane *find_lane(struct volume *v, uint32_t lane)
{
    for (size_t i = 0; i < v->lane_count; i++)
        if (v->lanes[i].at.lane == lane)
            return &v->lanes[i];
    return NULL;
}

/* A new lane's chain begins with a head made of kind, week and lane, so that a chain can't be moved
 * to another file unseen. */
static int need_lane(struct volume *v, uint32_t number, struct volume_lane **out)
{
    struct volume_lane *lane = find_lane(v, number);

    if (!lane) {
        if (v->lane_count == VOLUME_LANES_MAX)
            return -E2BIG;
        lane = &v->lanes[v->lane_count];
        *lane = (struct volume_lane){.at.lane = number};
        int r = chain_first(v->chain, v->kind, v->week, number, &lane->head);
        if (r < 0)
            return r;
        v->lane_count++;
    }
    *out = lane;
    return 0;
}

static bool is_same(const struct volume_lane *a, const struct volume_lane *b)
{
    return book_position_compare(&a->at, &b->at) == 0 && a->events == b->events &&
           memcmp(&a->head, &b->head, sizeof(a->head)) == 0;
}

/* -EBUSY: another process has written the file since these lanes were read; what would be added
 * here it may have, and links would fork the chain. */
static int check_lanes(struct volume *v)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_LANE_READ);
    int r = s ? 1 : db_error(&v->db);
    struct volume_lane lane;
    size_t count = 0;

    while (r == 1 && (r = step_lane(s, &lane)) == 1) {
        const struct volume_lane *known = find_lane(v, lane.at.lane);
        if (!known || !known->is_stored || !is_same(known, &lane))
            r = -EBUSY;
        count++;
    }
    sqlite3_reset(s);
    for (size_t i = 0; i < v->lane_count; i++)
        count -= v->lanes[i].is_stored;
    return r == 0 && count ? -EBUSY : r;
}

/* IMMEDIATE: who else writes shows now, and not in the middle of the batch. Readers aren't
 * disturbed (WAL). */
static int begin(struct volume *v)
{
    if (v->begun)
        return 0;
    int r = db_exec(&v->db, "BEGIN IMMEDIATE");
    v->begun = r == 0;
    return r == 0 ? check_lanes(v) : r;
}

static int fold(struct volume *v, struct volume_lane *lane, const struct book_input *input)
{
    return v->kind == WEEK_ENTRIES ? volume_fold_entries(v, lane, input)
                                   : volume_fold_refusal(v, lane, input->event);
}

/* The position moves with each event and with nothing else, so that a chain of some length has one
 * position only. Where the file was ahead, a crash may have kept the main file from knowing it: it
 * is told (again) once this is durable, too. */
int volume_fold(struct volume *v, const struct book_input *input)
{
    struct volume_lane *lane;
    int r = need_lane(v, input->end.lane, &lane);

    if (r == 0)
        r = begin(v);
    if (r < 0)
        return r;
    bool is_ahead = book_position_compare(&input->end, &lane->at) <= 0;
    uint64_t before = lane->events;
    if (!is_ahead)
        r = fold(v, lane, input);
    if (lane->events > before)
        lane->at = input->end;
    if (is_ahead || lane->events > before)
        lane->changed = lane->untold = true;
    return r;
}

int volume_set_position(struct volume *v, const struct book_position *at)
{
    struct volume_lane *lane = find_lane(v, at->lane);
    int r = lane ? begin(v) : -ENOENT;

    if (r < 0)
        return r;
    lane->at = *at;
    lane->changed = lane->untold = true;
    return 0;
}

static int write_lane(struct volume *v, const struct volume_lane *lane)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_LANE_WRITE);

    if (!s)
        return db_error(&v->db);
    position_bind(s, 1, &lane->at);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)lane->events);
    db_bind_blob(s, 5, lane->head.bytes, CHAIN_HASH_BYTES);
    return db_run(s);
}

/* The entries first, since the finding aid may have to be made anew from the rows; lanes last. An
 * error leaves the transaction to be rolled back by volume_close(). */
int volume_commit(struct volume *v)
{
    int r = 0;

    if (!v->begun)
        return 0;
    r = volume_write_entries(v);
    if (r == 0)
        r = volume_write_find(v);
    for (size_t i = 0; r == 0 && i < v->lane_count; i++)
        if (v->lanes[i].changed) {
            r = write_lane(v, &v->lanes[i]);
            v->lanes[i].changed = false;
            v->lanes[i].is_stored = true;
        }
    if (r == 0)
        r = db_exec(&v->db, "COMMIT");
    if (r == 0)
        v->begun = false;
    return r;
}

/* Only behind a commit: the main file must never know of links that a power cut takes back. */
size_t volume_take_heads(struct volume *v, struct main_file_head out[static VOLUME_LANES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < v->lane_count; i++) {
        struct volume_lane *lane = &v->lanes[i];
        if (lane->untold)
            out[count++] =
                (struct main_file_head){v->kind, v->week, lane->at, lane->events, lane->head};
        lane->untold = false;
    }
    return count;
}
