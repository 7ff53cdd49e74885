/*
 * One function a kind of record. Texts and ids are handed on as they lie in the follower's memory,
 * which lives until the next record; only what must be put together is copied, into the arena.
 */
#include "proc/book/translate.h"

#include "base/log.h"
#include <errno.h>
#include <stdio.h>

static const uint8_t kinds[SPOOL_OUTCOME_MAX + 1] = {
    [SPOOL_OUTCOME_DELIVERED] = EVENT_DELIVERED, [SPOOL_OUTCOME_RELAYED] = EVENT_RELAYED,
    [SPOOL_OUTCOME_RETURNED] = EVENT_RETURNED,   [SPOOL_OUTCOME_DISCARDED] = EVENT_DISCARDED,
    [SPOOL_OUTCOME_REMOVED] = EVENT_REMOVED,     [SPOOL_OUTCOME_EXPANDED] = EVENT_EXPANDED,
    [SPOOL_OUTCOME_DEFERRED] = EVENT_DEFERRED,   [SPOOL_OUTCOME_UNCERTAIN] = EVENT_UNCERTAIN,
    [SPOOL_OUTCOME_EXPIRED] = EVENT_EXPIRED,     [SPOOL_OUTCOME_HELD] = EVENT_HELD,
    [SPOOL_OUTCOME_RELEASED] = EVENT_RELEASED,   [SPOOL_OUTCOME_RETRIED] = EVENT_RETRIED,
    [SPOOL_OUTCOME_REROUTED] = EVENT_REROUTED,   [SPOOL_OUTCOME_NOTIFIED] = EVENT_NOTIFIED,
};

static uint8_t kind_of(const struct spool_status *s)
{
    if (s->outcome == SPOOL_OUTCOME_DISCARDED && span_equal(s->status, EVENT_DUPLICATE_STATUS))
        return EVENT_DUPLICATE;
    return s->outcome <= SPOOL_OUTCOME_MAX ? kinds[s->outcome] : 0;
}

static struct book_position place(const struct translator *t, struct spool_position p)
{
    return (struct book_position){t->lane, p.segment, p.offset};
}

static int fold(struct translator *t, const struct book_input *input)
{
    return fold_input(t->fold, input, t->now_us);
}

/* Several outcomes share a record. Each gets a position of its own within it, because the book
 * takes what lies at or before its position for folded. A record is longer than its outcomes are
 * many. */
static int statuses(struct translator *t, const struct spool_followed *record)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < record->status_count; i++) {
        const struct spool_status *s = &record->statuses[i];
        struct book_status status = {
            .message = record->message,
            .recipient_index = s->recipient,
            .kind = kind_of(s),
            .time_us = s->time_us,
            .next_attempt_us = s->next_attempt_us,
            .host = s->host,
            .reply = s->reply,
            .status = s->status,
            .remote_id = s->remote_id,
            .tls = s->tls,
            .detail = s->detail,
            .actor_uid = EVENT_NO_ACTOR,
        };
        struct book_input input = {
            .kind = BOOK_STATUS, .end = place(t, record->next), .status = &status};
        enum recipient_state closed;
        memcpy(status.ip, s->ip, sizeof(status.ip));
        if (event_kind_closes(status.kind, &closed))
            status.next_attempt_us = 0;
        input.end.offset -= record->status_count - 1 - i;
        r = fold(t, &input);
    }
    return r;
}

static int expansion(struct translator *t, const struct spool_followed *record)
{
    struct book_expand expand = {
        .message = record->message,
        .parent = record->expansion->parent,
        .first_child = record->first_child,
        .time_us = record->time_us,
        .children = record->expansion->children,
        .child_count = record->expansion->child_count,
    };
    struct book_input input = {
        .kind = BOOK_EXPAND, .end = place(t, record->next), .expand = &expand};
    return fold(t, &input);
}

/* Its recipients wait from here on; what they were expanded into follows in EXPAND records. */
static int message(struct translator *t, const struct spool_followed *record)
{
    struct book_input input = {
        .kind = BOOK_MESSAGE, .end = place(t, record->next), .message = record->envelope};
    return fold(t, &input);
}

/* The recipient of that index: the envelope's come first, then the children of the expansions in
 * their order. False when there is none. */
static bool find_recipient(const struct spool_followed *record, struct book_waiting *out)
{
    const struct envelope *m = record->envelope;
    size_t index = out->index;

    out->parent = EVENT_NO_RECIPIENT;
    if (index < m->recipient_count) {
        out->recipient = &m->recipients[index];
        return true;
    }
    index -= m->recipient_count;
    for (size_t i = 0; i < record->expansion_count; i++) {
        const struct spool_expansion *e = &record->expansions[i];
        if (index < e->child_count) {
            out->parent = e->parent;
            out->recipient = &e->children[index];
            return true;
        }
        index -= e->child_count;
    }
    return false;
}

/* Mostly passed over, too: only a ledger that is made anew lacks what it says. */
static int restated(struct translator *t, const struct spool_followed *record,
                    const uint32_t *waiting, size_t count)
{
    struct book_restated again = {record->message, record->time_us, waiting, count};
    struct book_input input = {
        .kind = BOOK_RESTATED, .end = place(t, record->next), .restated = &again};
    return fold(t, &input);
}

static int restated_status(struct translator *t, const struct spool_followed *record)
{
    arena_clear(&t->arena);
    uint32_t *waiting = arena_alloc_array(&t->arena, record->status_count + 1, sizeof(*waiting));

    if (!waiting)
        return -ENOMEM;
    for (size_t i = 0; i < record->status_count; i++)
        waiting[i] = record->statuses[i].recipient;
    return restated(t, record, waiting, record->status_count);
}

static int restated_net(struct translator *t, const struct spool_followed *record)
{
    uint32_t *waiting = arena_alloc_array(&t->arena, record->waiting_count + 1, sizeof(*waiting));

    if (!waiting)
        return -ENOMEM;
    for (size_t i = 0; i < record->waiting_count; i++)
        waiting[i] = record->waiting[i].recipient;
    return restated(t, record, waiting, record->waiting_count);
}

/* Mostly passed over: the book has the message from its MESSAGE record. Behind that it says who
 * waits, as a thing of its own: so with a position of its own, as of outcomes. */
static int moved(struct translator *t, const struct spool_followed *record)
{
    arena_clear(&t->arena);
    struct book_waiting *waiting =
        arena_alloc_array(&t->arena, record->waiting_count + 1, sizeof(*waiting));
    struct book_moved again = {.message = record->envelope, .waiting = waiting};
    struct book_input input = {.kind = BOOK_MOVED, .end = place(t, record->next), .moved = &again};

    input.end.offset--;
    if (!waiting)
        return -ENOMEM;
    for (size_t i = 0; i < record->waiting_count; i++) {
        struct book_waiting *next = &waiting[again.waiting_count];
        if (record->waiting[i].outcome == SPOOL_OUTCOME_NOTIFIED)
            continue; /* stands behind that it waits */
        next->index = record->waiting[i].recipient;
        again.waiting_count += find_recipient(record, next);
    }
    int r = fold(t, &input);
    return r < 0 ? r : restated_net(t, record);
}

static int event(struct translator *t, const struct spool_followed *record, const struct event *e)
{
    struct book_input input = {.kind = BOOK_EVENT, .end = place(t, record->next), .event = e};
    return fold(t, &input);
}

/* It was checked when it was appended; a newer Postbuch may have written kinds that this one
 * doesn't know. The position goes on, or the book would stop there for ever. */
static int callers_event(struct translator *t, const struct spool_followed *record)
{
    struct book_position end = place(t, record->next);
    struct event e;

    arena_clear(&t->arena);
    int r = codec_decode(&event_codec, record->event, &t->arena, &e);
    if (r == 0)
        return event(t, record, &e);
    t->strange++;
    log_warn("an event of the log can't be understood (segment %llu, offset %llu)",
             (unsigned long long)record->position.segment,
             (unsigned long long)record->position.offset);
    return fold_skip(t->fold, &end);
}

/* Of no recipient: shown by `postbuch audit`, and by trace only where a message is named. */
static int alarm_event(struct translator *t, const struct spool_followed *record, unsigned kind,
                       int64_t time_us, const struct id *about, struct span text)
{
    struct event e = {.kind = (uint8_t)kind,
                      .time_us = time_us,
                      .count = 1,
                      .message = *about,
                      .recipient_index = EVENT_NO_RECIPIENT,
                      .actor_uid = EVENT_NO_ACTOR,
                      .reply = span_first(text, EVENT_REPLY_MAX)};
    return event(t, record, &e);
}

static int spools_alarm(struct translator *t, const struct spool_followed *record)
{
    const struct spool_alarm *a = record->alarm;
    /* A tail was never acknowledged: after a crash there often is one. */
    return alarm_event(t, record, a->kind == SPOOL_ALARM_DAMAGE ? EVENT_DAMAGED : EVENT_ALARM,
                       a->time_us, &a->message, a->text);
}

static int unread(struct translator *t, const struct spool_followed *record, const char *what)
{
    static const struct id none;
    char text[160];

    snprintf(text, sizeof(text),
             "%s between segment %llu, offset %llu and segment %llu, offset %llu", what,
             (unsigned long long)record->position.segment,
             (unsigned long long)record->position.offset, (unsigned long long)record->next.segment,
             (unsigned long long)record->next.offset);
    log_error(
        "ALARM: the book: %s%s", text,
        record->kind != SPOOL_FOLLOWED_DAMAGED
            ? "; was the ledger put back from an older copy? postbuch audit says what is missing"
            : "");
    return alarm_event(t, record, EVENT_DAMAGED, t->now_us, &none, span_from_cstr(text));
}

/* A ledger that is made anew can't have what lay there. */
static int note_gone(struct translator *t, const struct spool_followed *record)
{
    struct book_position at = place(t, record->next), end = place(t, t->limit);
    int r = fold_note_gone(t->fold, &at, &end, t->now_us);

    if (r == 1)
        log_warn("the ledger is made anew, and the log doesn't have all any more: whose end is in "
                 "neither is booked as closed");
    return r < 0 ? r : 0;
}

static int gap(struct translator *t, const struct spool_followed *record)
{
    int r = note_gone(t, record);
    return r < 0 ? r : unread(t, record, "the log is gone unread");
}

/* No segment goes before this book has it, but in a log that was there before the book came. */
static int gone(struct translator *t, const struct spool_followed *record)
{
    struct book_position from = place(t, record->position), end = place(t, record->next);

    if (from.segment && !fold_is_anew(t->fold, &from))
        return gap(t, record);
    int r = note_gone(t, record);
    return r < 0 ? r : fold_skip(t->fold, &end);
}

int translate(struct translator *t, const struct spool_followed *record)
{
    struct book_position end = place(t, record->next);

    switch (record->kind) {
    case SPOOL_FOLLOWED_MESSAGE:
        return message(t, record);
    case SPOOL_FOLLOWED_MOVED:
        return moved(t, record);
    case SPOOL_FOLLOWED_RESTATED:
        return restated_status(t, record);
    case SPOOL_FOLLOWED_EXPAND:
        return expansion(t, record);
    case SPOOL_FOLLOWED_STATUS:
        return statuses(t, record);
    case SPOOL_FOLLOWED_EVENT:
        return callers_event(t, record);
    case SPOOL_FOLLOWED_ALARM:
        return spools_alarm(t, record);
    case SPOOL_FOLLOWED_DAMAGED:
        return unread(t, record, "the log is damaged");
    case SPOOL_FOLLOWED_GAP:
        return gap(t, record);
    case SPOOL_FOLLOWED_GONE:
        return gone(t, record);
    case SPOOL_FOLLOWED_SEAL:
        break;
    }
    return fold_skip(t->fold, &end);
}
