/*
 * Entries with their events in one ordered walk: the state is made anew by entry_state.h and held
 * against the row. Then what belongs together, by queries that give only what is off.
 */
#include "book/audit_impl.h"
#include "book/entry_state.h"

#include <errno.h>
#include <stdio.h>

/* ---- one entry ---- */

/* An entry's row, and what its events make of it. */
struct checked {
    struct id id;
    uint32_t index;
    struct entry_state row, told;
    unsigned accepted, closings;
    bool held;
};

/* Columns of AUDIT_SQL_ENTRIES: one row an event, in the order of entries and events. */
enum { C_MESSAGE, C_INDEX, C_STATE, C_SINCE, C_NEXT, C_KIND, C_TIME, C_EVENT_NEXT };

static void start_entry(sqlite3_stmt *s, struct checked *c)
{
    *c = (struct checked){.index = (uint32_t)sqlite3_column_int64(s, C_INDEX),
                          .row = {(unsigned)sqlite3_column_int64(s, C_STATE),
                                  sqlite3_column_int64(s, C_SINCE),
                                  sqlite3_column_int64(s, C_NEXT)}};
    db_column_fixed(s, C_MESSAGE, c->id.bytes, ID_BYTES);
}

static void add_event(sqlite3_stmt *s, struct checked *c)
{
    unsigned kind = (unsigned)sqlite3_column_int64(s, C_KIND);
    enum recipient_state closed;

    if (sqlite3_column_type(s, C_KIND) == SQLITE_NULL)
        return;
    c->accepted += kind == EVENT_ACCEPTED;
    c->closings += event_kind_closes(kind, &closed);
    if (kind == EVENT_HELD || kind == EVENT_RELEASED || kind == EVENT_RETRIED)
        c->held = kind == EVENT_HELD;
    entry_state_apply(&c->told, kind, sqlite3_column_int64(s, C_TIME),
                      sqlite3_column_int64(s, C_EVENT_NEXT));
}

static void tell(struct audit *audit, const struct checked *c, enum audit_kind kind,
                 const char *text)
{
    audit_tell(audit, kind, &c->id, c->index, text);
}

static void check_state(struct audit *audit, const struct checked *c)
{
    char text[160];

    if (c->accepted != 1)
        tell(audit, c, AUDIT_STATE,
             c->accepted ? "was accepted more than once"
                         : "has no event that says it was accepted");
    if (c->closings > 1)
        tell(audit, c, AUDIT_STATE, "ended more than once");
    if (c->accepted && c->row.state != c->told.state) {
        snprintf(text, sizeof(text), "is booked as %s, but by its events it is %s",
                 recipient_state_name(c->row.state), recipient_state_name(c->told.state));
        tell(audit, c, AUDIT_STATE, text);
    } else if (c->accepted && (c->row.since_us != c->told.since_us ||
                               c->row.next_attempt_us != c->told.next_attempt_us))
        tell(audit, c, AUDIT_STATE, "has other times than its events say");
}

/* Whether it is off is known when the queue was asked: it may wait for others to its destination.
 */
static int check_overdue(struct audit *audit, const struct checked *c)
{
    const struct audit_options *o = audit->options;
    struct audit_waiting item = {.id = c->id, .index = c->index};

    if (c->row.state != RECIPIENT_WAITING || c->held ||
        c->row.next_attempt_us >= o->now_us - o->overdue_us)
        return 0;
    return audit_add_waiting(&audit->late, &item);
}

static int end_entry(struct audit *audit, const struct checked *c)
{
    check_state(audit, c);
    audit->counts->accepted++;
    audit->counts->held += c->held && c->row.state == RECIPIENT_WAITING;
    if (c->row.state > 0 && c->row.state < RECIPIENT_STATE_COUNT)
        audit->counts->states[c->row.state]++;
    return check_overdue(audit, c);
}

static bool is_same(const struct checked *c, sqlite3_stmt *s)
{
    struct span id = db_column(s, C_MESSAGE);

    return c->index == (uint32_t)sqlite3_column_int64(s, C_INDEX) &&
           span_equal(id, span_of(c->id.bytes, ID_BYTES));
}

static int check_entries(struct audit *audit, struct db *db)
{
    sqlite3_stmt *s = db_statement(db, AUDIT_SQL_ENTRIES);
    struct checked c = {0};
    bool any = false;
    int r;

    if (!s)
        return db_error(db);
    while ((r = db_step(s)) == 1) {
        if (!any || !is_same(&c, s)) {
            r = any ? end_entry(audit, &c) : 0;
            if (r < 0)
                break;
            start_entry(s, &c);
            any = true;
        }
        add_event(s, &c);
    }
    if (r < 0)
        sqlite3_reset(s);
    return r == 0 && any ? end_entry(audit, &c) : r;
}

/* ---- what belongs together ---- */

/* A file made anew tells less than the one that was set aside: outcomes whose MESSAGE record had
 * left the log, children whose expansion had. */
static int tell_each(struct audit *audit, struct db *db, unsigned statement, enum audit_kind kind,
                     const char *text)
{
    sqlite3_stmt *s = db_statement(db, statement);
    struct id id;
    int r;

    if (!s)
        return db_error(db);
    while ((r = db_step(s)) == 1) {
        db_column_fixed(s, 0, id.bytes, ID_BYTES);
        if (audit->was_remade)
            audit->counts->remade++;
        else
            audit_tell(audit, kind, &id, (uint32_t)sqlite3_column_int64(s, 1), text);
    }
    return r;
}

int audit_check_entries(struct audit *audit, struct db *db)
{
    int64_t messages = 0;
    int r = check_entries(audit, db);

    if (r == 0)
        r = db_number(db, "SELECT count(*) FROM message", &messages);
    audit->counts->messages += (uint64_t)messages;
    if (r == 0)
        r = tell_each(audit, db, AUDIT_SQL_ORPHANS, AUDIT_ORPHAN, "has events, but no entry");
    if (r == 0)
        r = tell_each(audit, db, AUDIT_SQL_EXPANSIONS, AUDIT_EXPANSION, "was expanded into nobody");
    if (r == 0)
        r = tell_each(audit, db, AUDIT_SQL_CHILDREN, AUDIT_EXPANSION,
                      "came from an expansion that isn't booked");
    return r;
}

int audit_collect_waiting(struct db *db, struct audit_set *set)
{
    sqlite3_stmt *s = db_statement(db, AUDIT_SQL_WAITING);
    struct audit_waiting item = {.is_planned = false};
    int r;

    if (!s)
        return db_error(db);
    while ((r = db_step(s)) == 1) {
        db_column_fixed(s, 0, item.id.bytes, ID_BYTES);
        item.index = (uint32_t)sqlite3_column_int64(s, 1);
        r = audit_add_waiting(set, &item);
        if (r < 0) {
            sqlite3_reset(s);
            return r;
        }
    }
    return r;
}
