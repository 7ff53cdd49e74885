#include "book/trace_sql.h"

#include <errno.h>
#include <stdlib.h>

const char *const trace_sql[TRACE_STATEMENT_COUNT] = {
    [TRACE_BY_ID] = "SELECT id FROM message WHERE id = ?1 AND accepted_us >= ?2",
    [TRACE_BY_WAITING] = "SELECT DISTINCT e.message FROM entry e CROSS JOIN message m"
                         " ON m.id = e.message WHERE e.state = 1 AND m.accepted_us >= ?2"
                         " ORDER BY e.message DESC",
    [TRACE_BY_TIME] = "SELECT id FROM message WHERE accepted_us >= ?2 ORDER BY id DESC",
    [TRACE_BY_NO_SENDER] =
        "SELECT id FROM message WHERE sender = '' AND accepted_us >= ?2 ORDER BY id DESC",
    [TRACE_HAS_ADDRESS] = "SELECT 1 FROM message m WHERE m.id = ?1 AND m.accepted_us >= ?2"
                          " AND (m.sender = ?3 COLLATE NOCASE OR EXISTS (SELECT 1 FROM entry e"
                          "  WHERE e.message = ?1 AND (e.recipient = ?3 COLLATE NOCASE"
                          "   OR e.original = ?3 COLLATE NOCASE)))",
    [TRACE_HAS_MESSAGE_ID] = "SELECT 1 FROM message WHERE id = ?1 AND accepted_us >= ?2"
                             " AND message_id IN (?3, '<' || ?3 || '>')",
    [TRACE_HAS_REMOTE_ID] = "SELECT 1 FROM message m WHERE m.id = ?1 AND m.accepted_us >= ?2"
                            " AND EXISTS (SELECT 1 FROM event e WHERE e.message = ?1"
                            "  AND e.remote_id = ?3)",
    [TRACE_HAS_SESSION] = "SELECT 1 FROM message WHERE id = ?1 AND accepted_us >= ?2"
                          " AND session = ?3",
    [TRACE_MESSAGE] = "SELECT accepted_us, sender, message_id, size_bytes, session, helo, ip,"
                      " service, protocol, tls, auth, port, uid FROM message WHERE id = ?1",
    [TRACE_ENTRY_COUNT] = "SELECT count(*) FROM entry WHERE message = ?1",
    [TRACE_ENTRIES] =
        "SELECT e.recipient_index, e.parent, e.recipient,"
        " iif(e.original IS 0, e.recipient, e.original), e.state, e.since_us,"
        " e.next_attempt_us FROM entry e WHERE e.message = ?1 ORDER BY e.recipient_index",
    [TRACE_EVENT_COUNT] = "SELECT count(*) FROM event WHERE message = ?1 AND recipient_index = ?2",
    [TRACE_EVENTS] = "SELECT e.kind, e.time_us, e.next_attempt_us, s.host, s.ip, e.reply, e.status,"
                     " e.remote_id, e.tls, e.detail, e.actor_uid"
                     " FROM event e LEFT JOIN station s ON s.station = e.station"
                     " WHERE e.message = ?1 AND e.recipient_index = ?2 ORDER BY e.seq",
};

struct span trace_column(struct trace_result *result, sqlite3_stmt *s, int column)
{
    struct span text = db_column(s, column);
    struct span copy = text.data ? arena_copy(&result->arena, text) : text;

    result->out_of_memory |= text.data && !copy.data; /* NULL would mean erased */
    return copy;
}

/* The statement with its message bound, and the index of an entry where it has one. */
static sqlite3_stmt *bound(struct db *db, unsigned statement, const struct id *id, int64_t index)
{
    sqlite3_stmt *s = db_statement(db, statement);

    if (!s)
        return NULL;
    db_bind_blob(s, 1, id->bytes, ID_BYTES);
    if (index >= 0)
        sqlite3_bind_int64(s, 2, index);
    return s;
}

static int count_of(struct db *db, unsigned statement, const struct id *id, int64_t index,
                    size_t *out)
{
    sqlite3_stmt *s = bound(db, statement, id, index);
    int r = s ? db_step(s) : db_error(db);

    if (r == 1) {
        *out = (size_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return r < 0 ? r : 0;
}

static void read_event(struct trace_result *result, sqlite3_stmt *s, struct trace_event *out)
{
    *out = (struct trace_event){
        .kind = (uint8_t)sqlite3_column_int(s, 0),
        .time_us = sqlite3_column_int64(s, 1),
        .next_attempt_us = sqlite3_column_int64(s, 2),
        .host = trace_column(result, s, 3),
        .ip = trace_column(result, s, 4),
        .reply = trace_column(result, s, 5),
        .status = trace_column(result, s, 6),
        .remote_id = trace_column(result, s, 7),
        .tls = trace_column(result, s, 8),
        .detail = trace_column(result, s, 9),
        .actor_uid = db_column_or(s, 10, EVENT_NO_ACTOR),
    };
}

/* Counted first, so that one array holds them; events that are booked in between are left out by
 * the transaction. */
static int load_events(struct db *db, const struct id *id, struct trace_result *result,
                       struct trace_entry *entry)
{
    size_t count = 0;
    int r = count_of(db, TRACE_EVENT_COUNT, id, entry->index, &count);

    if (r < 0 || count == 0 || entry->events)
        return r;
    entry->events = arena_alloc_array(&result->arena, count, sizeof(*entry->events));
    if (!entry->events)
        return -ENOMEM;
    sqlite3_stmt *s = bound(db, TRACE_EVENTS, id, entry->index);
    if (!s)
        return db_error(db);
    while ((r = db_step(s)) == 1 && entry->event_count < count)
        read_event(result, s, &entry->events[entry->event_count++]);
    sqlite3_reset(s);
    return r < 0 ? r : 0;
}

static void read_entry(struct trace_result *result, sqlite3_stmt *s, struct trace_entry *out)
{
    *out = (struct trace_entry){
        .index = (uint32_t)sqlite3_column_int64(s, 0),
        .parent = db_column_or(s, 1, EVENT_NO_RECIPIENT),
        .address = trace_column(result, s, 2),
        .original = trace_column(result, s, 3),
        .state = (uint8_t)sqlite3_column_int(s, 4),
        .since_us = sqlite3_column_int64(s, 5),
        .next_attempt_us = sqlite3_column_int64(s, 6),
    };
}

static int compare_index(const void *left, const void *right)
{
    const struct trace_entry *a = left, *b = right;

    return (a->index > b->index) - (a->index < b->index);
}

/* Of all that the message has, in the order of their index. */
static void count_children(struct trace_entry *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct trace_entry key = {.index = all[i].parent};
        struct trace_entry *parent = bsearch(&key, all, count, sizeof(*all), compare_index);
        if (parent && all[i].parent != EVENT_NO_RECIPIENT)
            parent->child_count++;
    }
}

/* ---- which entries are meant ---- */

/* As it was asked for, or in the spelling that is booked. Who asked for nothing means no one. */
static bool is_meant(const struct trace_query *query, struct span key, struct span address)
{
    return query->what.size &&
           (span_equal_nocase(address, query->what) || span_equal_nocase(address, key));
}

/* By where it goes, or as its sender wrote it (bob+shop@). */
static bool is_meant_entry(const struct trace_query *query, struct span key,
                           const struct trace_entry *e)
{
    return is_meant(query, key, e->address) || is_meant(query, key, e->original);
}

/* Whoever looks for one recipient of many wants that one, and what it became. */
static bool is_wanted(const struct trace_query *query, struct span key,
                      const struct trace_message *m, const struct trace_entry *e)
{
    if (is_meant(query, key, m->sender) || is_meant_entry(query, key, e))
        return true;
    if (e->parent == EVENT_NO_RECIPIENT)
        return false;
    for (size_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].index == e->parent)
            return true;
    return false;
}

/* Without a match by recipient (a Message-ID has an @ too) all are meant; also when whoever was
 * asked for is but a duplicate, whose fate is that of others. What a discarded entry is only its
 * events say. 1, 0 or an error. */
static int is_narrow(struct db *db, const struct trace_query *query, struct span key,
                     struct trace_result *result, const struct id *id, struct trace_entry *all,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_meant_entry(query, key, &all[i]))
            continue;
        int r = all[i].state == RECIPIENT_DISCARDED ? load_events(db, id, result, &all[i]) : 0;
        if (r < 0)
            return r;
        if (!trace_is_duplicate(&all[i]))
            return 1;
    }
    return 0;
}

/* In place: what is kept moves to the front, never over what is still to be looked at. Picked
 * before the state is asked for, since a parent that was expanded has another state than its
 * children. */
static void pick_entries(const struct trace_query *query, struct span key, bool narrow,
                         struct trace_message *m, struct trace_entry *all, size_t count)
{
    m->entries = all;
    for (size_t i = 0; i < count; i++)
        if (!narrow || is_wanted(query, key, m, &all[i]))
            m->entries[m->entry_count++] = all[i];
    if (!query->state)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].state == query->state)
            m->entries[kept++] = m->entries[i];
    m->entry_count = kept;
}

/* All entries are read, also those that aren't wanted: how many children an alias has only all of
 * them tell. */
static int load_entries(struct db *db, const struct trace_query *query, struct span key,
                        struct trace_result *result, struct trace_message *m)
{
    size_t count = 0, got = 0;
    int r = count_of(db, TRACE_ENTRY_COUNT, &m->id, -1, &count);

    if (r < 0 || count == 0)
        return r;
    struct trace_entry *all = arena_alloc_array(&result->arena, count, sizeof(*all));
    if (!all)
        return -ENOMEM;
    sqlite3_stmt *s = bound(db, TRACE_ENTRIES, &m->id, -1);
    if (!s)
        return db_error(db);
    while ((r = db_step(s)) == 1 && got < count)
        read_entry(result, s, &all[got++]);
    sqlite3_reset(s);
    if (r >= 0) {
        count_children(all, got);
        r = is_narrow(db, query, key, result, &m->id, all, got);
    }
    if (r >= 0)
        pick_entries(query, key, r, m, all, got);
    for (size_t i = 0; r >= 0 && i < m->entry_count; i++)
        r = load_events(db, &m->id, result, &m->entries[i]);
    return r < 0 ? r : 0;
}

int trace_load(struct db *db, const struct trace_query *query, struct span key, const struct id *id,
               struct trace_result *result, struct trace_message *out)
{
    sqlite3_stmt *s = bound(db, TRACE_MESSAGE, id, -1);
    int r = s ? db_step(s) : db_error(db);

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    *out = (struct trace_message){
        .id = *id,
        .accepted_us = sqlite3_column_int64(s, 0),
        .sender = trace_column(result, s, 1),
        .message_id = trace_column(result, s, 2),
        .size_bytes = (uint64_t)sqlite3_column_int64(s, 3),
        .helo = trace_column(result, s, 5),
        .ip = trace_column(result, s, 6),
        .service = trace_column(result, s, 7),
        .protocol = trace_column(result, s, 8),
        .tls = trace_column(result, s, 9),
        .auth = trace_column(result, s, 10),
        .port = (uint16_t)sqlite3_column_int(s, 11),
        .uid = db_column_or(s, 12, EVENT_NO_ACTOR),
    };
    db_column_fixed(s, 4, out->session.bytes, ID_BYTES);
    sqlite3_reset(s);
    return load_entries(db, query, key, result, out);
}
