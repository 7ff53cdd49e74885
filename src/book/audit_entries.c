/*
 * Messages, entries and events in one ordered walk: each entry's state is made anew by
 * entry_state.h and held against the row, parents and children against each other, and what the
 * finding aid must have is gathered.
 */
#include "book/audit_family.h"
#include "book/audit_find.h"
#include "book/audit_impl.h"
#include "book/entry_state.h"
#include "book/find_keys.h"

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

/* Columns of AUDIT_SQL_MESSAGES, AUDIT_SQL_ENTRIES and AUDIT_SQL_ENTRY_EVENTS. */
enum { C_MESSAGE, C_INDEX };
enum { C_SENDER = C_INDEX + 1, C_MESSAGE_ID, C_SESSION };
enum { C_STATE = C_INDEX + 1, C_SINCE, C_NEXT, C_RECIPIENT, C_PARENT };
enum { C_KIND = C_INDEX + 1, C_TIME, C_EVENT_NEXT, C_REMOTE_ID };

static void start_entry(sqlite3_stmt *s, struct checked *c)
{
    *c = (struct checked){.index = (uint32_t)sqlite3_column_int64(s, C_INDEX),
                          .row = {(unsigned)sqlite3_column_int64(s, C_STATE),
                                  sqlite3_column_int64(s, C_SINCE),
                                  sqlite3_column_int64(s, C_NEXT)}};
}

static void add_event(sqlite3_stmt *s, struct checked *c)
{
    unsigned kind = (unsigned)sqlite3_column_int64(s, C_KIND);
    enum recipient_state closed;

    c->accepted += kind == EVENT_ACCEPTED;
    c->closings += event_kind_closes(kind, &closed) && kind != EVENT_LOST; /* that is no end */
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

/* Times are compared only where the state is right: one fault, one finding. */
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
    if (c->row.state == RECIPIENT_LOST)
        audit_tell_lost_entry(audit, &c->id, c->index);
    return check_overdue(audit, c);
}

/* ---- the walk ---- */

/* Rows in the order of message and recipient. */
struct rows {
    sqlite3_stmt *s;
    int has; /* 1: a row that wasn't walked; 0: none any more; -errno */
    struct id message;
    int64_t index;
};

/* Three lists side by side. A message comes first, then its entries and their events. */
struct walk {
    struct audit *audit;
    struct audit_find *find;
    struct audit_family family;
    struct rows messages, entries, events;
};

enum { NO_INDEX = -1 /* of an event about a message without entries */ };

/* A row without an id can belong to nobody: it is told and passed over, or the walk would end
 * there. */
static void next_row(struct audit *audit, struct rows *rows)
{
    while ((rows->has = db_step(rows->s)) == 1) {
        if (db_column_fixed(rows->s, C_MESSAGE, rows->message.bytes, ID_BYTES)) {
            rows->index = sqlite3_column_type(rows->s, C_INDEX) == SQLITE_NULL
                              ? NO_INDEX
                              : sqlite3_column_int64(rows->s, C_INDEX);
            return;
        }
        audit_tell(audit, AUDIT_STATE, NULL, EVENT_NO_RECIPIENT, "has a row without a proper id");
    }
}

static int open_rows(struct audit *audit, struct db *db, unsigned statement, struct rows *rows)
{
    rows->s = db_statement(db, statement);
    if (!rows->s)
        return db_error(db);
    next_row(audit, rows);
    return rows->has < 0 ? rows->has : 0;
}

/* Is there a row of this message, and (unless it is NULL) of this index? */
static bool is_at(const struct rows *rows, const struct id *message, const int64_t *index)
{
    return rows->has == 1 && id_equal(&rows->message, message) && (!index || rows->index == *index);
}

/* An event by which the message is found is there even when its entry isn't. */
static int expect_remote_id(const struct walk *w)
{
    return audit_find_expect(w->find, FIND_REMOTE_ID, db_column(w->events.s, C_REMOTE_ID));
}

static uint32_t parent_of(sqlite3_stmt *s)
{
    return sqlite3_column_type(s, C_PARENT) == SQLITE_NULL
               ? EVENT_NO_RECIPIENT
               : (uint32_t)sqlite3_column_int64(s, C_PARENT);
}

static int walk_entry(struct walk *w, const struct id *message)
{
    struct checked c;

    start_entry(w->entries.s, &c);
    c.id = *message;
    int64_t index = w->entries.index;
    int r = audit_find_expect(w->find, FIND_ADDRESS, db_column(w->entries.s, C_RECIPIENT));
    if (r == 0)
        r = audit_family_add(&w->family, c.index, parent_of(w->entries.s), c.row.state);
    for (; r == 0 && is_at(&w->events, message, &index); next_row(w->audit, &w->events)) {
        add_event(w->events.s, &c);
        r = expect_remote_id(w);
    }
    next_row(w->audit, &w->entries);
    return r < 0 ? r : end_entry(w->audit, &c);
}

/* A file made anew tells less than the one that was set aside: there are outcomes whose MESSAGE
 * record had left the log. */
static int walk_orphan(struct walk *w, const struct id *message)
{
    int64_t index = w->events.index;
    int r = 0;

    if (w->audit->was_remade)
        w->audit->counts->remade++;
    else
        audit_tell_for_good(w->audit, AUDIT_GOOD_ORPHAN, message,
                            index == NO_INDEX ? EVENT_NO_RECIPIENT : (uint32_t)index, SPAN(""),
                            "has events, but no entry");
    for (; r == 0 && is_at(&w->events, message, &index); next_row(w->audit, &w->events))
        r = expect_remote_id(w);
    return r;
}

static int expect_message(struct walk *w)
{
    sqlite3_stmt *s = w->messages.s;
    struct id session;

    db_column_fixed(s, C_SESSION, session.bytes, ID_BYTES);
    int r = audit_find_expect(w->find, FIND_ADDRESS, db_column(s, C_SENDER));
    if (r == 0)
        r = audit_find_expect(w->find, FIND_MESSAGE_ID, db_column(s, C_MESSAGE_ID));
    if (r == 0)
        r = audit_find_expect(w->find, FIND_SESSION, find_session_text(&session));
    return r;
}

/* Entries and events side by side by index: events before the next entry belong to one that isn't
 * there. */
static int walk_message(struct walk *w, const struct id *message)
{
    int r = 0;

    if (is_at(&w->messages, message, NULL)) {
        r = expect_message(w);
        w->audit->counts->messages++;
        next_row(w->audit, &w->messages);
    }
    while (r == 0) {
        bool entry = is_at(&w->entries, message, NULL), event = is_at(&w->events, message, NULL);
        if (!entry && !event)
            break;
        if (entry && (!event || w->entries.index <= w->events.index))
            r = walk_entry(w, message);
        else
            r = walk_orphan(w, message);
    }
    audit_find_end_message(w->find, message);
    audit_family_end(w->audit, &w->family, message);
    return r;
}

static int trouble(const struct walk *w)
{
    const struct rows *all[] = {&w->messages, &w->entries, &w->events};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i]->has < 0)
            return all[i]->has;
    return 0;
}

/* The first one that any list has; false: all are at their end. */
static bool next_message(const struct walk *w, struct id *out)
{
    const struct rows *all[] = {&w->messages, &w->entries, &w->events}, *first = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i]->has == 1 && (!first || id_compare(&all[i]->message, &first->message) < 0))
            first = all[i];
    if (first)
        *out = first->message;
    return first != NULL;
}

static int walk_all(struct walk *w, struct db *db)
{
    struct id message;
    int r = open_rows(w->audit, db, AUDIT_SQL_MESSAGES, &w->messages);

    if (r == 0)
        r = open_rows(w->audit, db, AUDIT_SQL_ENTRIES, &w->entries);
    if (r == 0)
        r = open_rows(w->audit, db, AUDIT_SQL_ENTRY_EVENTS, &w->events);
    while (r == 0 && next_message(w, &message)) {
        r = walk_message(w, &message);
        if (r == 0)
            r = trouble(w);
    }
    sqlite3_reset(w->messages.s); /* NULL is fine */
    sqlite3_reset(w->entries.s);
    sqlite3_reset(w->events.s);
    return r;
}

int audit_check_entries(struct audit *audit, struct db *db)
{
    struct walk walk = {.audit = audit};
    int r = audit_find_new(db, &walk.find);

    if (r == 0)
        r = walk_all(&walk, db);
    if (r == 0)
        r = audit_find_check(audit, walk.find, db);
    audit_find_free(walk.find);
    audit_family_done(&walk.family);
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
