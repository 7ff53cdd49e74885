#include "book/trace.h"

#include "book/find_read.h"
#include "book/ledger.h"
#include "book/schema.h"
#include "book/trace_sql.h"
#include "mail/address.h"
#include <errno.h>
#include <stdio.h>

enum refusal_statement { REFUSAL_BY_ID, REFUSAL_BY_ADDRESS, REFUSAL_STATEMENT_COUNT };

#define REFUSAL_COLUMNS                                                                            \
    "SELECT reference, session, time_us, until_us, count, port, ip, service, helo, tls, auth,"     \
    " sender, recipient, phase, reply FROM refusal WHERE max(time_us, until_us) >= ?2 AND "

static const char *const refusal_sql[REFUSAL_STATEMENT_COUNT] = {
    [REFUSAL_BY_ID] = REFUSAL_COLUMNS "(reference = ?1 OR session = ?1)"
                                      " ORDER BY time_us DESC LIMIT ?3",
    [REFUSAL_BY_ADDRESS] = REFUSAL_COLUMNS "(sender COLLATE NOCASE IN (?1, ?4)"
                                           " OR recipient COLLATE NOCASE IN (?1, ?4))"
                                           " ORDER BY time_us DESC LIMIT ?3",
};

/* ---- what is looked for ---- */

struct search {
    const struct trace_query *query;
    bool is_id;
    struct id id;
    struct address address; /* what `key` is of */
    struct span key;        /* of an address: as it is booked, or as it was given when it is none */
    char owner[ADDRESS_TEXT_MAX + 1]; /* who gets what is written to it: without "+…", or empty */
    size_t last_way; /* that is tried: once one found something, the vaguer ones are not */
    struct trace_result *result;
};

/* A Message-ID has an @ too, but stands in angle brackets where people copy it from. */
static bool looks_like_address(struct span what)
{
    return what.size && what.data[0] != '<' && span_find(what, '@') >= 0;
}

/* Addresses are booked in canonical form; people write them as they like. Refusals have the text as
 * it came, which may be no address. */
static void find_key(struct search *search)
{
    struct span what = search->query->what;

    search->key = what;
    if (looks_like_address(what) &&
        address_parse(what, ADDRESS_ALLOW_UTF8, &search->address) == ADDRESS_OK)
        search->key = address_text(&search->address);
}

/* The aid has where mail goes (people.h), not what was written: bob@ for bob+shop@. */
static void find_owner(struct search *search)
{
    struct span key = search->key;
    ptrdiff_t plus = span_find(key, '+'), at = span_find_last(key, '@');

    if (plus > 0 && plus < at && key.data[0] != '"')
        snprintf(search->owner, sizeof(search->owner), SPAN_FMT SPAN_FMT,
                 SPAN_ARG(span_first(key, (size_t)plus)), SPAN_ARG(span_from(key, (size_t)at)));
}

/* A way to find messages: by an index of the file, or by the finding aid. */
struct way {
    int statement;       /* of those that list messages; -1: by the aid */
    enum find_kind kind; /* of the aid's key */
    unsigned proof;      /* the statement that says whether a message really has it */
};

enum { WAYS_MAX = 4 };

/* The ways in which the text could be meant, most particular first. */
static size_t ways(const struct search *search, struct way out[static WAYS_MAX])
{
    struct span what = search->query->what;
    bool has_at = span_find(what, '@') >= 0;
    size_t n = 0;

    if (what.size == 0) {
        bool waiting = search->query->state == RECIPIENT_WAITING;
        out[n++] = (struct way){.statement = waiting ? TRACE_BY_WAITING : TRACE_BY_TIME};
        return n;
    }
    if (span_equal(what, SPAN("<>"))) {
        out[n++] = (struct way){.statement = TRACE_BY_NO_SENDER};
        return n;
    }
    if (search->is_id) {
        out[n++] = (struct way){.statement = TRACE_BY_ID};
        out[n++] = (struct way){-1, FIND_SESSION, TRACE_HAS_SESSION};
    }
    if (looks_like_address(what))
        out[n++] = (struct way){-1, FIND_ADDRESS, TRACE_HAS_ADDRESS};
    out[n++] = has_at ? (struct way){-1, FIND_MESSAGE_ID, TRACE_HAS_MESSAGE_ID}
                      : (struct way){-1, FIND_REMOTE_ID, TRACE_HAS_REMOTE_ID};
    return n;
}

/* ---- entries ---- */

static bool has_message(const struct trace_result *result, const struct id *id)
{
    for (size_t i = 0; i < result->message_count; i++)
        if (id_equal(&result->messages[i].id, id))
            return true;
    return false;
}

static bool is_full(const struct search *search)
{
    const struct trace_query *query = search->query;
    const struct trace_result *result = search->result;

    return result->message_count == query->limit ||
           (query->bytes && result->message_count && result->arena.used >= query->bytes);
}

/* A message may be found by several ways. The one beyond the limit isn't shown, but is why `more`
 * is true. What isn't shown takes no memory: who asks for a state may look at all there are. */
static int take_message(struct search *search, struct db *db, const struct id *id)
{
    struct trace_result *result = search->result;
    struct arena_mark mark = arena_mark(&result->arena);
    bool full = is_full(search);
    struct trace_message message;

    if (has_message(result, id))
        return 0;
    int r = trace_load(db, search->query, search->key, id, result, &message);
    bool is_meant = r >= 0 && message.entry_count;
    if (is_meant && !full)
        result->messages[result->message_count++] = message;
    else
        arena_rewind(&result->arena, mark);
    if (is_meant && full)
        result->more = result->more_messages = true;
    return r;
}

/* 1; 0: the message doesn't have it, or is older than asked for. */
static int has_key(struct search *search, struct db *db, const struct way *way, struct span key,
                   const struct id *id)
{
    sqlite3_stmt *s = db_statement(db, way->proof);

    if (!s)
        return db_error(db);
    db_bind_blob(s, 1, id->bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, search->query->since_us);
    if (way->kind == FIND_SESSION)
        db_bind_blob(s, 3, key.data, key.size);
    else
        db_bind_text(s, 3, key);
    int r = db_step(s);
    sqlite3_reset(s);
    return r;
}

/* One that a list or the aid named. `way` is NULL when that was the proof. */
static int take_candidate(struct search *search, struct db *db, const struct way *way,
                          struct span key, const struct id *id)
{
    int r = way ? has_key(search, db, way, key, id) : 1;

    return r == 1 ? take_message(search, db, id) : r;
}

static int search_list(struct search *search, struct db *db, unsigned statement,
                       const struct way *proof, struct span key)
{
    sqlite3_stmt *s = db_statement(db, statement);
    struct id id;
    int r;

    if (!s)
        return db_error(db);
    if (statement == TRACE_BY_ID)
        db_bind_blob(s, 1, search->id.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, search->query->since_us);
    while ((r = db_step(s)) == 1 && !search->result->more) {
        if (!db_column_fixed(s, 0, id.bytes, ID_BYTES))
            continue;
        r = take_candidate(search, db, proof, key, &id);
        if (r < 0)
            break;
    }
    sqlite3_reset(s);
    return r < 0 ? r : 0;
}

/* Candidates under two keys, the newest first. */
struct candidates {
    struct find_cursor *cursors[2];
    struct id next[2];
    bool has[2];
};

static int candidates_fetch(struct candidates *c, size_t i)
{
    int r = c->cursors[i] ? find_next(c->cursors[i], &c->next[i]) : 0;

    c->has[i] = r == 1;
    return r < 0 ? r : 0;
}

static void candidates_close(struct candidates *c)
{
    find_close(c->cursors[0]);
    find_close(c->cursors[1]);
}

/* `other` "": one key only. To be closed after an error, too. */
static int candidates_open(struct candidates *c, struct db *db, enum find_kind kind,
                           struct span key, struct span other)
{
    *c = (struct candidates){0};
    int r = find_open(db, kind, key, &c->cursors[0]);
    if (r == 0 && other.size)
        r = find_open(db, kind, other, &c->cursors[1]);
    if (r == 0)
        r = candidates_fetch(c, 0);
    return r < 0 ? r : candidates_fetch(c, 1);
}

/* 1; 0: there are no more. One may come twice. */
static int candidates_next(struct candidates *c, struct id *out)
{
    if (!c->has[0] && !c->has[1])
        return 0;
    size_t i = !c->has[0] || (c->has[1] && id_compare(&c->next[1], &c->next[0]) > 0);
    *out = c->next[i];
    int r = candidates_fetch(c, i);
    return r < 0 ? r : 1;
}

static int search_aid(struct search *search, struct db *db, const struct way *way, struct span key)
{
    struct span owner = way->kind == FIND_ADDRESS ? span_from_cstr(search->owner) : SPAN("");
    struct candidates found;
    struct id id;
    int r = candidates_open(&found, db, way->kind, key, owner);

    while (r == 0 && !search->result->more && (r = candidates_next(&found, &id)) == 1) {
        r = take_candidate(search, db, way, key, &id);
        if (r > 0)
            r = 0;
    }
    candidates_close(&found);
    return r < 0 ? r : 0;
}

static int search_way(struct search *search, struct db *db, const struct way *way)
{
    struct span key = way->kind == FIND_SESSION   ? span_of(search->id.bytes, ID_BYTES)
                      : way->kind == FIND_ADDRESS ? search->key
                                                  : search->query->what;

    if (way->statement >= 0)
        return search_list(search, db, (unsigned)way->statement, NULL, (struct span){0});
    int r = search_aid(search, db, way, key);
    /* The aid was deleted, as whoever erases someone does, or can't be read: all messages. */
    return r == -ENODATA || db_is_unreadable(r) ? search_list(search, db, TRACE_BY_TIME, way, key)
                                                : r;
}

/* Stops at the first way that found something: what is an id shall not also be tried as a part of
 * something else. */
static int search_entries(struct search *search, struct db *db)
{
    struct way list[WAYS_MAX];
    size_t count = ways(search, list);
    int r = 0;

    for (size_t i = 0; r == 0 && i < count && i <= search->last_way; i++) {
        size_t before = search->result->message_count;
        r = search_way(search, db, &list[i]);
        if (search->result->message_count > before)
            search->last_way = i;
    }
    return r;
}

/* ---- refusals ---- */

static void read_refusal(struct trace_result *result, sqlite3_stmt *s, struct trace_refusal *out)
{
    *out = (struct trace_refusal){
        .time_us = sqlite3_column_int64(s, 2),
        .until_us = sqlite3_column_int64(s, 3),
        .count = (uint32_t)sqlite3_column_int64(s, 4),
        .port = (uint16_t)sqlite3_column_int(s, 5),
        .ip = trace_column(result, s, 6),
        .service = trace_column(result, s, 7),
        .helo = trace_column(result, s, 8),
        .tls = trace_column(result, s, 9),
        .auth = trace_column(result, s, 10),
        .sender = trace_column(result, s, 11),
        .recipient = trace_column(result, s, 12),
        .phase = trace_column(result, s, 13),
        .reply = trace_column(result, s, 14),
    };
    db_column_fixed(s, 0, out->reference.bytes, ID_BYTES);
    db_column_fixed(s, 1, out->session.bytes, ID_BYTES);
}

static int search_refusals(struct search *search, struct db *db)
{
    struct trace_result *result = search->result;
    bool by_address = looks_like_address(search->query->what);
    int r;

    if (!search->is_id && !by_address)
        return 0;
    sqlite3_stmt *s = db_statement(db, by_address ? REFUSAL_BY_ADDRESS : REFUSAL_BY_ID);
    if (!s)
        return db_error(db);
    if (by_address) {
        db_bind_text(s, 1, search->query->what);
        db_bind_text(s, 4, search->key);
    } else
        db_bind_blob(s, 1, search->id.bytes, ID_BYTES);
    sqlite3_bind_int64(s, 2, search->query->since_us);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)search->query->limit + 1); /* is there one more? */
    while ((r = db_step(s)) == 1) {
        if (result->refusal_count == search->query->limit) {
            result->more = true;
            break;
        }
        read_refusal(result, s, &result->refusals[result->refusal_count++]);
    }
    sqlite3_reset(s);
    return r < 0 ? r : 0;
}

/* ---- files ---- */

static void note_skipped(struct trace_result *result, const char *name, int error)
{
    const char *why = error == -EUCLEAN           ? "damaged"
                      : error == -EPROTONOSUPPORT ? "written by another version of Postbuch"
                      : error == -ENOENT          ? "can't be opened"
                                                  : ledger_why(error);
    buffer_printf(&result->skipped, "%s: %s\n", name, why);
}

/* One read transaction for all statements, so that a message and its events are of the same moment.
 */
static int search_open_file(struct search *search, struct db *db, enum week_kind kind)
{
    int r = schema_check(db, schema_of_week(kind));
    if (r == 0)
        r = db_exec(db, "BEGIN");
    if (r < 0)
        return r;
    return kind == WEEK_ENTRIES ? search_entries(search, db) : search_refusals(search, db);
}

/* A file that can't be read is told and passed over: an answer with a gap that is named is better
 * than none. Only memory ends it all. */
static int search_file(struct search *search, const char *folder, const struct ledger_file *file)
{
    bool entries = file->kind == WEEK_ENTRIES;
    char name[WEEK_FILE_SIZE];
    struct db db;
    int r = entries ? ledger_open(folder, file, DB_READ, trace_sql, TRACE_STATEMENT_COUNT, &db)
                    : ledger_open(folder, file, DB_READ, refusal_sql, REFUSAL_STATEMENT_COUNT, &db);

    week_file(file->kind, file->week, name);
    if (r == 0) {
        r = search_open_file(search, &db, file->kind);
        db_done(&db);
    }
    if (r < 0 && r != -ENOMEM && r != -ENODATA)
        note_skipped(search->result, name, r);
    return r == -ENOMEM ? r : 0;
}

/* A message is in the file of the week that its id tells, and no other thing has its id. True when
 * it was found there; the id of a session may lead further. */
static bool is_one_message(struct search *search, const char *folder,
                           const struct ledger_list *list)
{
    struct ledger_file own = {WEEK_ENTRIES, week_of_id(&search->id)};
    size_t all = search->last_way;
    bool found = false;

    search->last_way = 0; /* the id as a message's */
    if (search->is_id && ledger_list_has(list, own.kind, own.week))
        found = search_file(search, folder, &own) == 0 && search->result->message_count;
    search->last_way = all;
    return found;
}

/* Newest weeks first, as the list has them: what is asked for is mostly of today. */
static int search_files(struct search *search, const char *folder, const struct ledger_list *list)
{
    if (is_one_message(search, folder, list))
        return 0;
    buffer_clear(&search->result->skipped); /* it is told below */
    for (size_t i = 0; i < list->count; i++) {
        const struct ledger_file *file = &list->files[i];
        if (week_end_us(file->week) <= search->query->since_us)
            continue;
        if (file->kind == WEEK_REFUSALS && search->query->state)
            continue;
        if (file->kind == WEEK_ENTRIES && search->result->more)
            continue; /* newer weeks had more than was asked for */
        int r = search_file(search, folder, file);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Found newest first, told oldest first. */
static void reverse(void *items, size_t count, size_t size)
{
    char *a = items, *b = a + count * size, swap[512];

    for (b -= size; count > 1 && a < b; a += size, b -= size) {
        memcpy(swap, a, size);
        memcpy(a, b, size);
        memcpy(b, swap, size);
    }
}

int trace_run(const char *folder, const struct trace_query *query, struct trace_result *out)
{
    struct search search = {.query = query, .last_way = WAYS_MAX, .result = out};
    struct ledger_list list;

    *out = (struct trace_result){0};
    search.is_id = id_parse(query->what, &search.id) == 0;
    find_key(&search);
    find_owner(&search);
    out->messages = arena_alloc_array(&out->arena, query->limit, sizeof(*out->messages));
    out->refusals = arena_alloc_array(&out->arena, query->limit, sizeof(*out->refusals));
    if (!out->messages || !out->refusals)
        return -ENOMEM;
    int r = ledger_list(folder, &list);
    if (r == 0)
        r = search_files(&search, folder, &list);
    ledger_list_done(&list);
    if (out->message_count)
        reverse(out->messages, out->message_count, sizeof(*out->messages));
    if (out->refusal_count)
        reverse(out->refusals, out->refusal_count, sizeof(*out->refusals));
    return r == 0 && out->out_of_memory ? -ENOMEM : r;
}

void trace_result_done(struct trace_result *result)
{
    arena_done(&result->arena);
    buffer_done(&result->skipped);
}
