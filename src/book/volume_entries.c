/*
 * Rows of messages, entries and their events.
 *
 * Entries of messages that came with this batch wait in memory (pending.h) until it is committed:
 * most mail is delivered within the batch that brought it, and its entry is then written once, with
 * its end.
 */
#include "book/entry_state.h"
#include "book/find_keys.h"
#include "book/volume_impl.h"

#include <errno.h>

/* ---- stations ---- */

/* Stations are few, and named by most events: a number instead of two texts in each. */
static int add_station(struct volume *v, struct span host, struct span ip, int64_t *out)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_STATION_ADD);

    if (!s)
        return db_error(&v->db);
    db_bind_text(s, 1, volume_text(host));
    db_bind_text(s, 2, volume_text(ip));
    int r = db_run(s);
    *out = sqlite3_last_insert_rowid(v->db.handle);
    return r;
}

/* 0 when neither host nor address is known. One that wasn't seen for long gets another row. */
static int station_row(struct volume *v, struct span host, struct span ip, int64_t *out)
{
    char key[IP_TEXT + 512];
    size_t size = ip.size + 1 + host.size;

    *out = 0;
    if (host.size == 0 && ip.size == 0)
        return 0;
    if (size > sizeof(key))
        return add_station(v, host, ip, out);
    memcpy(key, volume_text(ip).data, ip.size);
    key[ip.size] = ' ';
    memcpy(key + ip.size + 1, volume_text(host).data, host.size);
    *out = intern_find(v->stations, span_of(key, size));
    if (*out)
        return 0;
    int r = add_station(v, host, ip, out);
    if (r == 0)
        intern_remember(v->stations, span_of(key, size), *out);
    return r;
}

/* ---- events ---- */

/* What an event's row has beside its record. */
struct event_extra {
    int64_t station;
    const uint8_t *own_key; /* of an event that belongs to no entry */
};

/* A lane that is read for the first time knows nothing twice, so nobody is asked. Events of no
 * entry may be of one moment: two places of a log that are found damaged in one turn. `text` (NULL:
 * any) tells these apart. */
static int is_known(struct volume *v, const struct volume_lane *lane,
                    const struct chain_record *record, const struct span *text)
{
    if (!volume_may_know(lane))
        return 0;
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_EVENT_KNOWN);
    if (!s)
        return db_error(&v->db);
    if (!id_is_zero(&record->message))
        db_bind_blob(s, 1, record->message.bytes, ID_BYTES);
    db_bind_int_or_null(s, 2, record->recipient_index, EVENT_NO_RECIPIENT);
    sqlite3_bind_int64(s, 3, record->kind);
    sqlite3_bind_int64(s, 4, record->time_us);
    if (text)
        db_bind_text(s, 5, volume_text(*text));
    return volume_row_is_known(s);
}

/* The link is made before the row is written and the head moves on with it: an error between gives
 * up the whole batch, so the chain never has a link without its row. */
static int add_event(struct volume *v, struct volume_lane *lane, const uint8_t *key,
                     const struct chain_record *record, const struct event_extra *extra)
{
    struct chain_hash commitment, link;
    int r = volume_next_link(v, lane, key, record, &commitment, &link);
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_EVENT_ADD);

    if (r < 0 || !s)
        return r < 0 ? r : db_error(&v->db);
    sqlite3_bind_int64(s, 1, lane->at.lane);
    if (!id_is_zero(&record->message))
        db_bind_blob(s, 2, record->message.bytes, ID_BYTES);
    db_bind_int_or_null(s, 3, record->recipient_index, EVENT_NO_RECIPIENT);
    sqlite3_bind_int64(s, 4, record->kind);
    sqlite3_bind_int64(s, 5, record->time_us);
    db_bind_int_or_null(s, 6, record->next_attempt_us, 0);
    db_bind_int_or_null(s, 7, extra->station, 0);
    db_bind_text(s, 8, volume_text(record->personal[CHAIN_REPLY]));
    db_bind_text(s, 9, volume_text(record->status));
    if (record->remote_id.size)
        db_bind_text(s, 10, record->remote_id);
    db_bind_text(s, 11, volume_text(record->tls));
    db_bind_int_or_null(s, 12, record->actor_uid, EVENT_NO_ACTOR);
    db_bind_text(s, 13, volume_text(record->phase));
    if (!id_is_zero(&record->reference))
        db_bind_blob(s, 14, record->reference.bytes, ID_BYTES);
    if (extra->own_key)
        db_bind_blob(s, 15, extra->own_key, ENVELOPE_KEY_BYTES);
    db_bind_blob(s, 16, commitment.bytes, CHAIN_HASH_BYTES);
    db_bind_blob(s, 17, link.bytes, CHAIN_HASH_BYTES);
    r = db_run(s);
    return r < 0 ? r : find_add(v->find, FIND_REMOTE_ID, record->remote_id, &record->message);
}

/* ---- messages ---- */

/* Recipients get theirs with their entries, remote ids with their events. */
static int add_message_keys(struct volume *v, const struct envelope *m)
{
    int r = find_add(v->find, FIND_ADDRESS, m->sender, &m->id);
    if (r == 0)
        r = find_add(v->find, FIND_MESSAGE_ID, m->message_id, &m->id);
    if (r == 0)
        r = find_add(v->find, FIND_SESSION, find_session_text(&m->client.session), &m->id);
    return r;
}

/* 1: added; 0: it was there (its MESSAGE record was written a second time, elsewhere). */
static int add_message(struct volume *v, const struct envelope *m, struct span ip)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_MESSAGE_ADD);

    if (!s)
        return db_error(&v->db);
    db_bind_blob(s, 1, m->id.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, m->accepted_us);
    db_bind_text(s, 3, volume_text(m->sender));
    sqlite3_bind_int64(s, 4, (sqlite3_int64)m->size_bytes);
    db_bind_blob(s, 5, m->digest, ENVELOPE_DIGEST_BYTES);
    db_bind_text(s, 6, volume_text(m->message_id));
    db_bind_blob(s, 7, m->client.session.bytes, ID_BYTES);
    db_bind_text(s, 8, volume_text(m->client.helo));
    db_bind_text(s, 9, volume_text(ip));
    sqlite3_bind_int64(s, 10, m->client.port);
    db_bind_text(s, 11, volume_text(m->client.service));
    db_bind_text(s, 12, volume_text(m->client.protocol));
    db_bind_text(s, 13, volume_text(m->client.tls));
    db_bind_text(s, 14, volume_text(m->client.auth));
    db_bind_int_or_null(s, 15, m->client.uid, EVENT_NO_ACTOR);
    int r = db_run(s);
    if (r < 0 || sqlite3_changes(v->db.handle) == 0)
        return r;
    r = add_message_keys(v, m);
    return r < 0 ? r : 1;
}

/* An original that is the same is stored as the number 0. */
static void bind_addresses(sqlite3_stmt *s, struct span address, struct span original)
{
    db_bind_text(s, 3, volume_text(address));
    if (span_equal(address, original))
        sqlite3_bind_int64(s, 4, 0);
    else
        db_bind_text(s, 4, volume_text(original));
}

static int write_entry(struct volume *v, const struct pending_entry *e)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_ENTRY_WRITE);

    if (!s)
        return db_error(&v->db);
    db_bind_blob(s, 1, e->message.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, e->index);
    bind_addresses(s, e->address, e->original);
    db_bind_blob(s, 5, e->key, ENVELOPE_KEY_BYTES);
    db_bind_int_or_null(s, 6, e->parent, EVENT_NO_RECIPIENT);
    sqlite3_bind_int64(s, 7, e->state.state);
    sqlite3_bind_int64(s, 8, e->state.since_us);
    db_bind_int_or_null(s, 9, e->state.next_attempt_us, 0);
    return db_run(s);
}

int volume_write_entries(struct volume *v)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < pending_count(v->pending); i++)
        r = write_entry(v, pending_at(v->pending, i));
    pending_clear(v->pending);
    return r;
}

/* Of a message that this batch brought: nobody else can have written its entries. 1: added; 0: it
 * was there. */
static int add_pending(struct volume *v, const struct chain_record *record,
                       const struct envelope_recipient *recipient)
{
    struct pending_entry entry = {.message = record->message,
                                  .index = record->recipient_index,
                                  .parent = record->parent,
                                  .address = recipient->address,
                                  .original = recipient->original};
    int r = 0;

    if (pending_find(v->pending, &entry.message, entry.index))
        return 0;
    memcpy(entry.key, recipient->key, sizeof(entry.key));
    entry_state_apply(&entry.state, EVENT_ACCEPTED, record->time_us, 0);
    if (pending_is_full(v->pending))
        r = volume_write_entries(v);
    if (r == 0)
        r = pending_add(v->pending, &entry);
    return r < 0 ? r : 1;
}

/* 1: added; 0: it was there. */
static int add_entry(struct volume *v, const struct chain_record *record,
                     const struct envelope_recipient *recipient)
{
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_ENTRY_ADD);

    if (!s)
        return db_error(&v->db);
    db_bind_blob(s, 1, record->message.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, record->recipient_index);
    bind_addresses(s, recipient->address, recipient->original);
    db_bind_blob(s, 5, recipient->key, ENVELOPE_KEY_BYTES);
    db_bind_int_or_null(s, 6, record->parent, EVENT_NO_RECIPIENT);
    sqlite3_bind_int64(s, 7, record->time_us);
    int r = db_run(s);
    return r < 0 ? r : sqlite3_changes(v->db.handle);
}

/* The entry decides whether it is known: a second telling adds no second event to the chain. */
static int accept_one(struct volume *v, struct volume_lane *lane, struct chain_record *record,
                      const struct envelope_recipient *recipient, bool is_new)
{
    static const struct event_extra none;

    record->personal[CHAIN_RECIPIENT] = recipient->address;
    record->personal[CHAIN_ORIGINAL] = recipient->original;
    int r = is_new ? add_pending(v, record, recipient) : add_entry(v, record, recipient);
    if (r <= 0)
        return r;
    r = find_add(v->find, FIND_ADDRESS, recipient->address, &record->message);
    return r < 0 ? r : add_event(v, lane, recipient->key, record, &none);
}

/* What all recipients of a message have in common; each event of the chain says it again, so that
 * each can be verified alone. */
static void record_of(const struct envelope *m, struct span ip, struct chain_record *out)
{
    *out = (struct chain_record){
        .kind = EVENT_ACCEPTED,
        .message = m->id,
        .parent = EVENT_NO_RECIPIENT,
        .time_us = m->accepted_us,
        .actor_uid = m->client.uid,
        .tls = m->client.tls,
        .service = m->client.service,
        .protocol = m->client.protocol,
        .session = m->client.session,
        .port = m->client.port,
        .size_bytes = m->size_bytes,
        .personal = {[CHAIN_SENDER] = m->sender,
                     [CHAIN_MESSAGE_ID] = m->message_id,
                     [CHAIN_CLIENT_IP] = ip,
                     [CHAIN_HELO] = m->client.helo,
                     [CHAIN_AUTH] = m->client.auth},
    };
    memcpy(out->digest, m->digest, sizeof(out->digest));
}

/* A child says nothing of the message itself: its parent's link has that. */
static struct chain_record child_of(const struct id *message, uint32_t parent, int64_t time_us)
{
    return (struct chain_record){.kind = EVENT_ACCEPTED,
                                 .message = *message,
                                 .parent = parent,
                                 .time_us = time_us,
                                 .actor_uid = EVENT_NO_ACTOR};
}

/* 0 of add_message(): a MESSAGE that was moved within the log before the book saw it, or told again
 * by a later lane. */
static int fold_message(struct volume *v, struct volume_lane *lane, const struct envelope *m)
{
    char ip_text[IP_TEXT];
    struct span ip = volume_ip_text(m->client.ip, ip_text);
    struct chain_record record;
    int r = add_message(v, m, ip);

    if (r <= 0)
        return r;
    record_of(m, ip, &record);
    r = 0;
    for (size_t i = 0; r == 0 && i < m->recipient_count; i++) {
        record.recipient_index = (uint32_t)i;
        r = accept_one(v, lane, &record, &m->recipients[i], true);
    }
    return r;
}

/* Only where the MESSAGE itself was never folded; the recipients that it doesn't name have their
 * fate in a file that is lost. Their EXPAND may have been folded all the same (only the MESSAGE
 * couldn't be read), so their entries are looked for. */
static int fold_moved(struct volume *v, struct volume_lane *lane, const struct book_moved *moved)
{
    const struct envelope *m = moved->message;
    char ip_text[IP_TEXT];
    struct span ip = volume_ip_text(m->client.ip, ip_text);
    struct chain_record whole;
    int r = add_message(v, m, ip);

    if (r <= 0)
        return r;
    record_of(m, ip, &whole);
    r = 0;
    for (size_t i = 0; r == 0 && i < moved->waiting_count; i++) {
        const struct book_waiting *w = &moved->waiting[i];
        struct chain_record record =
            w->parent == EVENT_NO_RECIPIENT ? whole : child_of(&m->id, w->parent, m->accepted_us);
        record.recipient_index = w->index;
        r = accept_one(v, lane, &record, w->recipient, false);
    }
    return r;
}

/* ---- what happens to an entry ---- */

/* The entry's key and state; both zero when the ledger doesn't have it (its file was lost). Its
 * events are kept all the same, and commit to nothing personal. */
static int find_entry(struct volume *v, const struct id *message, uint32_t index,
                      uint8_t key[static ENVELOPE_KEY_BYTES], unsigned *out_state)
{
    const struct pending_entry *pending = pending_find(v->pending, message, index);

    if (pending) {
        memcpy(key, pending->key, ENVELOPE_KEY_BYTES);
        *out_state = pending->state.state;
        return 0;
    }
    memset(key, 0, ENVELOPE_KEY_BYTES);
    *out_state = 0;
    sqlite3_stmt *s = db_statement(&v->db, VOLUME_ENTRY_KEY);
    if (!s)
        return db_error(&v->db);
    db_bind_blob(s, 1, message->bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, index);
    int r = db_step(s);
    if (r == 1) {
        db_column_fixed(s, 0, key, ENVELOPE_KEY_BYTES);
        *out_state = (unsigned)sqlite3_column_int64(s, 1);
        sqlite3_reset(s);
        r = 0;
    }
    return r;
}

/* An entry ends once: what is booked after its end changes neither its state nor its time
 * (entry_state.h). */
static int update_entry(struct volume *v, const struct chain_record *record, unsigned state)
{
    struct pending_entry *pending =
        pending_find(v->pending, &record->message, record->recipient_index);
    struct entry_state entry = {.state = state};

    if (pending) {
        entry_state_apply(&pending->state, record->kind, record->time_us, record->next_attempt_us);
        return 0;
    }
    bool changes =
        entry_state_apply(&entry, record->kind, record->time_us, record->next_attempt_us);
    sqlite3_stmt *s = changes ? db_statement(&v->db, VOLUME_ENTRY_UPDATE) : NULL;
    if (!s)
        return changes ? db_error(&v->db) : 0;
    db_bind_blob(s, 1, record->message.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, record->recipient_index);
    sqlite3_bind_int64(s, 3, entry.state);
    if (entry.state != state) /* else it is so since when it was */
        sqlite3_bind_int64(s, 4, entry.since_us);
    db_bind_int_or_null(s, 5, entry.next_attempt_us, 0);
    return db_run(s);
}

/* The event first, then the state that follows from it: the audit computes the state again from the
 * events. */
int volume_happen(struct volume *v, struct volume_lane *lane, const struct chain_record *record,
                  int64_t station)
{
    uint8_t key[ENVELOPE_KEY_BYTES];
    struct event_extra extra = {.station = station};
    unsigned state;
    int r = is_known(v, lane, record, NULL);

    if (r != 0)
        return r < 0 ? r : 0;
    r = find_entry(v, &record->message, record->recipient_index, key, &state);
    if (r == 0)
        r = add_event(v, lane, key, record, &extra);
    return r < 0 ? r : update_entry(v, record, state);
}

static int fold_status(struct volume *v, struct volume_lane *lane, const struct book_status *status)
{
    char ip_text[IP_TEXT];
    struct span ip = volume_ip_text(status->ip, ip_text);
    int64_t station;
    struct chain_record record = {
        .kind = status->kind,
        .message = status->message,
        .recipient_index = status->recipient_index,
        .parent = EVENT_NO_RECIPIENT,
        .time_us = status->time_us,
        .next_attempt_us = status->next_attempt_us,
        .actor_uid = status->actor_uid,
        .status = status->status,
        .host = status->host,
        .remote_id = status->remote_id,
        .tls = status->tls,
        .phase = status->detail,
        .personal = {[CHAIN_IP] = ip, [CHAIN_REPLY] = status->reply},
    };
    int r = station_row(v, status->host, ip, &station);
    return r < 0 ? r : volume_happen(v, lane, &record, station);
}

/* Children of a message that came with this batch are pending as it is; else they are looked for,
 * and where the log is read a second time, since they may have come without their message the first
 * time. */
static int fold_expand(struct volume *v, struct volume_lane *lane, const struct book_expand *expand)
{
    struct chain_record parent = {
        .kind = EVENT_EXPANDED,
        .message = expand->message,
        .recipient_index = expand->parent,
        .parent = EVENT_NO_RECIPIENT,
        .time_us = expand->time_us,
        .actor_uid = EVENT_NO_ACTOR,
    };
    struct chain_record child = child_of(&expand->message, expand->parent, expand->time_us);
    bool is_new = !volume_may_know(lane) &&
                  pending_find(v->pending, &expand->message, expand->parent) != NULL;
    int r = volume_happen(v, lane, &parent, 0);

    for (size_t i = 0; r == 0 && i < expand->child_count; i++) {
        child.recipient_index = expand->first_child + (uint32_t)i;
        r = accept_one(v, lane, &child, &expand->children[i], is_new);
    }
    return r;
}

/* ---- EVENT records ---- */

/* Whatever the event doesn't say is left empty, which is part of what the link covers. */
static struct chain_record event_record(const struct event *event)
{
    return (struct chain_record){
        .kind = event->kind,
        .message = event->message,
        .recipient_index = event->recipient_index,
        .parent = EVENT_NO_RECIPIENT,
        .time_us = event->time_us,
        .actor_uid = event->actor_uid,
        .tls = event->tls,
        .phase = event->phase,
        .reference = event->reference,
        .personal = {[CHAIN_REPLY] = event->reply},
    };
}

int volume_next_entry(struct volume *v, enum volume_statement which, const struct id *message,
                      int64_t *index)
{
    sqlite3_stmt *s = db_statement(&v->db, which);

    if (!s)
        return db_error(&v->db);
    db_bind_blob(s, 1, message->bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, *index);
    int r = db_step(s);
    *index = -1;
    if (r == 1) {
        *index = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
        r = 0;
    }
    return r;
}

/* An event that belongs to no entry. */
static int add_lone(struct volume *v, struct volume_lane *lane, const struct event *event,
                    const struct chain_record *record)
{
    struct event_extra extra = {.own_key = event->key};
    int r = is_known(v, lane, record, &event->reply);

    return r != 0 ? (r < 0 ? r : 0) : add_event(v, lane, event->key, record, &extra);
}

/* An event about a whole message is one of each of its entries, so that each entry tells its story.
 * Its entries must be in the file to be listed, so what is pending is written. */
static int fold_event(struct volume *v, struct volume_lane *lane, const struct event *event)
{
    struct chain_record record = event_record(event);
    int64_t index = -1;
    bool any = false;
    int r;

    if (id_is_zero(&event->message))
        return add_lone(v, lane, event, &record);
    if (event->recipient_index != EVENT_NO_RECIPIENT)
        return volume_happen(v, lane, &record, 0);
    r = volume_write_entries(v);
    if (r < 0)
        return r;
    while ((r = volume_next_entry(v, VOLUME_ENTRY_LIST, &event->message, &index)) == 0 &&
           index >= 0) {
        record.recipient_index = (uint32_t)index;
        r = volume_happen(v, lane, &record, 0);
        if (r < 0)
            return r;
        any = true;
    }
    return r < 0 || any ? r : add_lone(v, lane, event, &record);
}

int volume_fold_entries(struct volume *v, struct volume_lane *lane, const struct book_input *input)
{
    switch (input->kind) {
    case BOOK_MESSAGE:
        return fold_message(v, lane, input->message);
    case BOOK_MOVED:
        return fold_moved(v, lane, input->moved);
    case BOOK_RESTATED:
        return volume_fold_restated(v, lane, input->restated);
    case BOOK_EXPAND:
        return fold_expand(v, lane, input->expand);
    case BOOK_STATUS:
        return fold_status(v, lane, input->status);
    case BOOK_EVENT:
        return fold_event(v, lane, input->event);
    }
    return -EINVAL;
}
