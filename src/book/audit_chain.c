/*
 * Each row of events or refusals is made again into the record that the fold had, and its
 * commitment and link are computed anew. A value that was erased has neither value nor key: its
 * commitment is then taken as stored, which is what it is for.
 */
#include "book/audit_impl.h"

#include "base/clock.h"
#include "base/printable.h"
#include "book/volume.h"
#include <endian.h>
#include <errno.h>

/* ---- lanes ---- */

/* A lane's chain: as computed so far, and as its end is noted in the file. */
struct lane_check {
    uint32_t lane;
    struct chain_hash running, noted;
    uint64_t events, noted_events;
    bool is_noted;
    struct book_position at;                /* as noted */
    const struct mark *next_mark;           /* where the chain was exported */
    const struct main_file_head *next_lost; /* and where it was when its file was damaged */
};

struct lanes {
    struct lane_check list[VOLUME_LANES_MAX];
    size_t count;
    enum week_kind kind;
};

static struct lane_check *need_lane(struct audit *audit, struct lanes *lanes, uint32_t number)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (lanes->list[i].lane == number)
            return &lanes->list[i];
    if (lanes->count == VOLUME_LANES_MAX)
        return NULL;
    struct lane_check *lane = &lanes->list[lanes->count];
    *lane = (struct lane_check){.lane = number};
    if (chain_first(audit->chain, lanes->kind, audit->week, number, &lane->running) < 0)
        return NULL;
    lane->next_mark = audit_next_mark(audit, lanes->kind, number, 0);
    lane->next_lost = audit_next_lost(audit, lanes->kind, number, 0);
    lanes->count++;
    return lane;
}

static int need_lanes_of(struct audit *audit, struct lanes *lanes,
                         const struct main_file_heads *heads)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < heads->count; i++) {
        const struct main_file_head *h = &heads->list[i];
        if (h->kind == lanes->kind && h->week == audit->week)
            r = need_lane(audit, lanes, h->at.lane) ? 0 : -EUCLEAN;
    }
    return r;
}

/* A chain that was exported, or is known to the main file, is looked for even where the file
 * doesn't name it any more. */
static int need_known_lanes(struct audit *audit, struct lanes *lanes)
{
    const struct marks *expected = audit->options->expected;
    int r = 0;

    for (size_t i = 0; expected && r == 0 && i < expected->count; i++) {
        const struct mark *m = &expected->list[i];
        if (m->kind == lanes->kind && m->week == audit->week)
            r = need_lane(audit, lanes, m->lane) ? 0 : -EUCLEAN;
    }
    if (r == 0)
        r = need_lanes_of(audit, lanes, &audit->heads);
    return r < 0 ? r : need_lanes_of(audit, lanes, &audit->lost);
}

static int read_lanes(struct audit *audit, struct db *db, struct lanes *lanes)
{
    sqlite3_stmt *s = db_statement(db, AUDIT_SQL_LANES);
    int r = s ? 0 : db_error(db);

    while (r == 0 && (r = db_step(s)) == 1) {
        struct lane_check *lane = need_lane(audit, lanes, (uint32_t)sqlite3_column_int64(s, 0));
        r = lane ? 0 : -EUCLEAN;
        if (!lane)
            break;
        lane->noted_events = (uint64_t)sqlite3_column_int64(s, 1);
        db_column_fixed(s, 2, lane->noted.bytes, CHAIN_HASH_BYTES);
        lane->at = (struct book_position){lane->lane, (uint64_t)sqlite3_column_int64(s, 3),
                                          (uint64_t)sqlite3_column_int64(s, 4)};
        lane->is_noted = true;
    }
    if (r < 0 && s)
        sqlite3_reset(s);
    return r < 0 ? r : need_known_lanes(audit, lanes);
}

static const struct main_file_head *after_lost(struct audit *audit,
                                               const struct main_file_head *lost)
{
    return audit_next_lost(audit, lost->kind, lost->at.lane, lost->events);
}

/* In this order, so that one fault is told once, and by what explains it best: nothing there, a
 * lane that isn't named, too few or too many, another end; only what holds in itself is compared
 * with what others know of it. */
static int check_heads(struct audit *audit, struct lanes *lanes)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < lanes->count; i++) {
        struct lane_check *lane = &lanes->list[i];
        struct mark end = {lanes->kind, audit->week, lane->lane, lane->events, lane->running};
        r = audit_end_chain(audit, lane->next_mark, &end);
        for (; lane->next_lost; lane->next_lost = after_lost(audit, lane->next_lost))
            audit_tell_lost(audit, lane->next_lost);
        if (!lane->is_noted && lane->events == 0)
            audit_compare_head(audit, &end, NULL); /* a mark of it may be told, too */
        else if (!lane->is_noted)
            audit_tell(audit, AUDIT_HEAD, NULL, EVENT_NO_RECIPIENT,
                       "events of a lane that the file doesn't name");
        else if (lane->events != lane->noted_events)
            audit_tell(audit, AUDIT_HEAD, NULL, EVENT_NO_RECIPIENT,
                       lane->events < lane->noted_events
                           ? "events are missing: the chain is longer than what is stored"
                           : "events were added: the chain is shorter than what is stored");
        else if (!chain_hash_equal(&lane->running, &lane->noted))
            audit_tell(audit, AUDIT_HEAD, NULL, EVENT_NO_RECIPIENT,
                       "the chain doesn't end where it was noted to end");
        else
            audit_compare_head(audit, &end, &lane->at);
    }
    return r;
}

/* ---- one link ---- */

/* What is stored of an event beside its record. */
struct stored {
    uint32_t lane;
    const struct id *name; /* for findings */
    uint8_t key[ENVELOPE_KEY_BYTES];
    bool has_key; /* else erased */
    bool erased;  /* one of its values is */
    bool differs; /* two rows that say the same thing don't */
    struct chain_hash commitment, link;
};

/* What the personal values of an event commit to. What was booked before the book had the entry
 * (its MESSAGE record was damaged, and came again) has no key of its own and was booked with none.
 */
static int commit(struct audit *audit, const struct stored *stored,
                  const struct chain_record *record, struct chain_hash *out)
{
    static const uint8_t no_key[ENVELOPE_KEY_BYTES];
    int r = chain_commit(audit->chain, stored->key, record, out);

    if (r < 0 || record->kind == EVENT_ACCEPTED || record->kind == EVENT_REFUSED ||
        chain_hash_equal(out, &stored->commitment))
        return r;
    struct chain_hash keyless;
    r = chain_commit(audit->chain, no_key, record, &keyless);
    if (r == 0 && chain_hash_equal(&keyless, &stored->commitment))
        *out = keyless;
    return r;
}

/* After a bad link it goes on with the stored one, so that each change is told where it is. The
 * link is computed with the stored commitment, so a changed value and a changed chain are two
 * findings, each with its own name. */
static int check_link(struct audit *audit, struct lanes *lanes, const struct stored *stored,
                      const struct chain_record *record)
{
    struct lane_check *lane = need_lane(audit, lanes, stored->lane);
    struct chain_hash commitment = stored->commitment, link;
    int r = lane ? 0 : -EUCLEAN;

    if (r == 0 && stored->has_key && !stored->erased)
        r = commit(audit, stored, record, &commitment);
    if (r == 0)
        r = chain_link(audit->chain, &lane->running, record, &stored->commitment, &link);
    if (r < 0)
        return r;
    if (stored->differs)
        audit_tell(audit, AUDIT_CHAIN, stored->name, record->recipient_index,
                   "the message and its entry disagree about the time of acceptance");
    if (stored->has_key && stored->erased)
        audit_tell(audit, AUDIT_VALUE, stored->name, record->recipient_index,
                   "a personal value is gone, but not the key that goes with it");
    if (!chain_hash_equal(&commitment, &stored->commitment))
        audit_tell(audit, AUDIT_VALUE, stored->name, record->recipient_index,
                   "an address, a reply or another personal value was changed, or its commitment");
    if (!chain_hash_equal(&link, &stored->link))
        audit_tell(audit, AUDIT_CHAIN, stored->name, record->recipient_index,
                   "an event was changed, removed before this one, or put in");
    lane->running = stored->link;
    lane->events++;
    if (lane->next_mark && lane->next_mark->events == lane->events)
        audit_check_mark(audit, &lane->next_mark, &link);
    if (lane->next_lost && lane->next_lost->events == lane->events) {
        if (!chain_hash_equal(&lane->next_lost->head, &link))
            audit_tell_lost(audit, lane->next_lost);
        lane->next_lost = after_lost(audit, lane->next_lost);
    }
    return 0;
}

/* A value that is NULL was erased; `there` says whether it should be. */
static struct span personal(sqlite3_stmt *s, int column, bool there, struct stored *stored)
{
    struct span value = db_column(s, column);

    if (there && !value.data)
        stored->erased = true;
    return value;
}

/* A lane that is no number can't be a lane: UINT32_MAX, whose chain begins with nothing that fits.
 */
static void read_stored(sqlite3_stmt *s, int lane, int key, int commitment, struct stored *out)
{
    *out = (struct stored){.lane = sqlite3_column_type(s, lane) == SQLITE_INTEGER
                                       ? (uint32_t)sqlite3_column_int64(s, lane)
                                       : UINT32_MAX};
    out->has_key = db_column_fixed(s, key, out->key, ENVELOPE_KEY_BYTES);
    db_column_fixed(s, commitment, out->commitment.bytes, CHAIN_HASH_BYTES);
    db_column_fixed(s, commitment + 1, out->link.bytes, CHAIN_HASH_BYTES);
}

/* ---- events ---- */

/* Columns of AUDIT_SQL_EVENTS. */
enum {
    E_LANE,
    E_MESSAGE,
    E_INDEX,
    E_KIND,
    E_TIME,
    E_NEXT,
    E_STATION,
    E_HOST,
    E_IP,
    E_REPLY,
    E_STATUS,
    E_REMOTE,
    E_TLS,
    E_ACTOR,
    E_DETAIL,
    E_REFERENCE,
    E_KEY,
    E_COMMITMENT,
    E_LINK,
    E_HAS_ENTRY,
    E_PARENT,
    E_RECIPIENT,
    E_ORIGINAL,
    E_SENDER,
    E_SIZE,
    E_DIGEST,
    E_MESSAGE_ID,
    E_SESSION,
    E_HELO,
    E_CLIENT_IP,
    E_PORT,
    E_SERVICE,
    E_PROTOCOL,
    E_MESSAGE_TLS,
    E_AUTH,
    E_UID,
    E_ACCEPTED,
};

/* Of some facts the event's row and its message's have a copy each. */
static void add_message(sqlite3_stmt *s, struct chain_record *record, struct stored *stored)
{
    struct span tls = db_column(s, E_MESSAGE_TLS);
    uint32_t uid = db_column_or(s, E_UID, EVENT_NO_ACTOR);

    stored->differs = sqlite3_column_int64(s, E_ACCEPTED) != record->time_us ||
                      !span_equal(record->tls, tls) || record->actor_uid != uid;
    record->personal[CHAIN_SENDER] = personal(s, E_SENDER, true, stored);
    record->size_bytes = (uint64_t)sqlite3_column_int64(s, E_SIZE);
    db_column_fixed(s, E_DIGEST, record->digest, sizeof(record->digest));
    record->personal[CHAIN_MESSAGE_ID] = personal(s, E_MESSAGE_ID, true, stored);
    db_column_fixed(s, E_SESSION, record->session.bytes, ID_BYTES);
    record->personal[CHAIN_HELO] = personal(s, E_HELO, true, stored);
    record->personal[CHAIN_CLIENT_IP] = personal(s, E_CLIENT_IP, true, stored);
    record->port = (uint16_t)sqlite3_column_int(s, E_PORT);
    record->service = db_column(s, E_SERVICE);
    record->protocol = db_column(s, E_PROTOCOL);
    record->tls = tls;
    record->personal[CHAIN_AUTH] = personal(s, E_AUTH, true, stored);
    record->actor_uid = uid;
}

/* What the fold put into the link of an accepted recipient, which the rows have elsewhere. Children
 * of an alias have no message of their own: theirs was linked with the parent. */
static void add_entry(sqlite3_stmt *s, struct chain_record *record, struct stored *stored)
{
    record->parent = db_column_or(s, E_PARENT, EVENT_NO_RECIPIENT);
    record->personal[CHAIN_RECIPIENT] = personal(s, E_RECIPIENT, true, stored);
    record->personal[CHAIN_ORIGINAL] = personal(s, E_ORIGINAL, true, stored);
    if (record->parent == EVENT_NO_RECIPIENT)
        add_message(s, record, stored);
}

static void read_event(sqlite3_stmt *s, struct chain_record *record, struct stored *stored)
{
    bool station = sqlite3_column_type(s, E_STATION) != SQLITE_NULL;

    *record = (struct chain_record){
        .kind = (uint8_t)sqlite3_column_int(s, E_KIND),
        .recipient_index = db_column_or(s, E_INDEX, EVENT_NO_RECIPIENT),
        .parent = EVENT_NO_RECIPIENT,
        .time_us = sqlite3_column_int64(s, E_TIME),
        .next_attempt_us = sqlite3_column_int64(s, E_NEXT),
        .actor_uid = db_column_or(s, E_ACTOR, EVENT_NO_ACTOR),
        .status = db_column(s, E_STATUS),
        .host = db_column(s, E_HOST),
        .remote_id = db_column(s, E_REMOTE),
        .tls = db_column(s, E_TLS),
        .phase = db_column(s, E_DETAIL),
    };
    read_stored(s, E_LANE, E_KEY, E_COMMITMENT, stored);
    db_column_fixed(s, E_MESSAGE, record->message.bytes, ID_BYTES);
    db_column_fixed(s, E_REFERENCE, record->reference.bytes, ID_BYTES);
    record->personal[CHAIN_IP] = personal(s, E_IP, station, stored);
    record->personal[CHAIN_REPLY] = personal(s, E_REPLY, true, stored);
    if (record->kind == EVENT_ACCEPTED && sqlite3_column_int(s, E_HAS_ENTRY))
        add_entry(s, record, stored);
    stored->name = &record->message;
}

/* The commitment stands for the words, also when they were erased. */
static void tell_damaged(struct audit *audit, const struct chain_record *record,
                         const struct stored *stored, const char *text)
{
    char facts[sizeof(uint64_t) + CHAIN_HASH_BYTES];
    uint64_t time_le = htole64((uint64_t)record->time_us);

    memcpy(facts, &time_le, sizeof(time_le));
    memcpy(facts + sizeof(time_le), stored->commitment.bytes, CHAIN_HASH_BYTES);
    audit_tell_for_good(audit, AUDIT_GOOD_DAMAGED, &record->message, record->recipient_index,
                        span_of(facts, sizeof(facts)), text);
}

/* What the spool or the log told of: damage is off, an alarm is for a person to look at. */
static void take_warning(struct audit *audit, const struct chain_record *record,
                         const struct stored *stored)
{
    bool damage = record->kind == EVENT_DAMAGED;
    char when[CLOCK_RFC3339_SIZE];
    struct buffer text = BUFFER_INIT;

    if (!damage && record->kind != EVENT_ALARM)
        return;
    audit->counts->alarms += !damage;
    if (!damage && !audit->options->with_alarms)
        return;
    clock_format_rfc3339(record->time_us, when);
    buffer_printf(&text, "booked %s: ", when);
    printable_append(&text, record->personal[CHAIN_REPLY]);
    buffer_append_byte(&text, '\0');
    const char *words = buffer_error(&text) ? "out of memory" : text.data;
    if (damage)
        tell_damaged(audit, record, stored, words);
    else
        audit_tell(audit, AUDIT_ALARM, &record->message, record->recipient_index, words);
    buffer_done(&text);
}

int audit_check_events(struct audit *audit, struct db *db)
{
    struct lanes lanes = {.kind = WEEK_ENTRIES};
    struct chain_record record;
    struct stored stored;
    uint64_t total = 0, done = 0;
    int r = read_lanes(audit, db, &lanes);

    for (size_t i = 0; i < lanes.count; i++)
        total += lanes.list[i].noted_events;
    sqlite3_stmt *s = r == 0 ? db_statement(db, AUDIT_SQL_EVENTS) : NULL;
    if (r == 0 && !s)
        r = db_error(db);
    while (r == 0 && (r = db_step(s)) == 1) {
        read_event(s, &record, &stored);
        r = check_link(audit, &lanes, &stored, &record);
        take_warning(audit, &record, &stored);
        audit_progress(audit, ++done, total);
    }
    if (r < 0 && s)
        sqlite3_reset(s);
    audit->counts->events += done;
    return r < 0 ? r : check_heads(audit, &lanes);
}

/* ---- refusals ---- */

/* Columns of AUDIT_SQL_REFUSALS. */
enum {
    R_LANE,
    R_REFERENCE,
    R_SESSION,
    R_TIME,
    R_UNTIL,
    R_COUNT,
    R_IP,
    R_PORT,
    R_SERVICE,
    R_HELO,
    R_TLS,
    R_AUTH,
    R_SENDER,
    R_RECIPIENT,
    R_PHASE,
    R_REPLY,
    R_KEY,
    R_COMMITMENT,
    R_LINK,
};

static void read_refusal(sqlite3_stmt *s, struct chain_record *record, struct stored *stored)
{
    static const struct {
        enum chain_personal field;
        int column;
    } fields[] = {{CHAIN_SENDER, R_SENDER}, {CHAIN_RECIPIENT, R_RECIPIENT}, {CHAIN_CLIENT_IP, R_IP},
                  {CHAIN_HELO, R_HELO},     {CHAIN_AUTH, R_AUTH},           {CHAIN_REPLY, R_REPLY}};

    *record = (struct chain_record){
        .kind = EVENT_REFUSED,
        .recipient_index = EVENT_NO_RECIPIENT,
        .parent = EVENT_NO_RECIPIENT,
        .time_us = sqlite3_column_int64(s, R_TIME),
        .until_us = sqlite3_column_int64(s, R_UNTIL),
        .count = (uint32_t)sqlite3_column_int64(s, R_COUNT),
        .actor_uid = EVENT_NO_ACTOR,
        .tls = db_column(s, R_TLS),
        .phase = db_column(s, R_PHASE),
        .service = db_column(s, R_SERVICE),
        .port = (uint16_t)sqlite3_column_int(s, R_PORT),
    };
    read_stored(s, R_LANE, R_KEY, R_COMMITMENT, stored);
    db_column_fixed(s, R_SESSION, record->session.bytes, ID_BYTES);
    db_column_fixed(s, R_REFERENCE, record->reference.bytes, ID_BYTES);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        record->personal[fields[i].field] = personal(s, fields[i].column, true, stored);
    stored->name = &record->reference;
}

int audit_check_refusals(struct audit *audit, struct db *db)
{
    struct lanes lanes = {.kind = WEEK_REFUSALS};
    struct chain_record record;
    struct stored stored;
    int r = read_lanes(audit, db, &lanes);
    sqlite3_stmt *s = r == 0 ? db_statement(db, AUDIT_SQL_REFUSALS) : NULL;

    if (r == 0 && !s)
        r = db_error(db);
    while (r == 0 && (r = db_step(s)) == 1) {
        read_refusal(s, &record, &stored);
        r = check_link(audit, &lanes, &stored, &record);
        audit->counts->refusals++;
    }
    if (r < 0 && s)
        sqlite3_reset(s);
    return r < 0 ? r : check_heads(audit, &lanes);
}
