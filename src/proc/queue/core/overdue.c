/*
 * Overdue recipients. Each that waits has a next event: its attempt, the end of its destination's
 * pause, its outcome, its report. One that should have been long ago means that something here
 * hangs, and nobody would notice: so the queue looks for these itself, beside the scheduler and
 * distrusting it, and raises the alarm.
 *
 * A walk over the spool's rows, a slice a second, collects those that are late by more than
 * `grace_us`. A recipient that is just being attempted after a long pause is late, too: so only who
 * is late through `patience_ms`, with not an attempt meanwhile, is overdue. Both lists are bounded;
 * when so many are late, that is told often enough.
 *
 * When a destination or the server is back after hours, very many are late and go one after the
 * other. So for who waits for room the patience begins anew whenever one who was late no later in
 * the same lane had an attempt. That attempts end the spool's rows say, not the scheduler. And whom
 * it forgot isn't hidden for ever by others: those who were late before him come to their ends, who
 * is late after him doesn't count, and after `excuse_ms` nobody does.
 */
#include "proc/queue/core/overdue.h"

#include "base/clock.h"
#include "base/log.h"
#include "proc/queue/core/event.h"
#include "proc/queue/core/schedule.h"
#include <stdlib.h>

enum {
    SLICE = 4096,         /* places of the spool's index a second: a million in four minutes */
    SUSPECTS_MAX = 10000, /* a list has no more */
    BOOKED_MAX = 16,      /* alarms with a name in a walk; the rest is counted in one more */
    NAMED_MAX = 16,       /* in the status */
};

void overdue_init(struct queue *q)
{
    *q->overdue = (struct overdue){.grace_us = INT64_C(3600) * 1000000,
                                   .patience_ms = 10 * 60 * 1000,
                                   .excuse_ms = 4 * 3600 * 1000,
                                   .pause_ms = 60 * 1000};
}

void overdue_done(struct queue *q)
{
    free(q->overdue->before);
    free(q->overdue->now);
    *q->overdue = (struct overdue){0};
}

/* ---- who is late ---- */

/* Nothing is planned for who is held: by an administrator, or since the message is damaged. */
static bool is_late(const struct queue *q, const struct spool_recipient *r, int64_t wall_us,
                    struct overdue_suspect *out)
{
    int64_t grace_us = q->overdue->grace_us;
    uint32_t item = schedule_item(r);
    struct sched_explanation e = {.wait = SCHED_WAIT_OUTCOME, .lane = SCHED_LANES};

    if (r->state != SPOOL_RECIPIENT_WAITING || r->next_attempt_us >= wall_us - grace_us)
        return false;
    if (item)
        sched_explain(q->sched, item, &e);
    out->wait = (uint8_t)e.wait;
    out->lane = (uint8_t)e.lane;
    return e.until_ms == 0 || e.until_ms < io_loop_now_ms(q->loop) - grace_us / 1000;
}

static int compare(const void *left, const void *right)
{
    const struct overdue_suspect *a = left, *b = right;
    int by_id = id_compare(&a->id, &b->id);

    return by_id ? by_id : (a->index > b->index) - (a->index < b->index);
}

/* What the last walk knew of it; NULL: nothing, or it was attempted meanwhile. */
static const struct overdue_suspect *find_before(const struct overdue *o,
                                                 const struct overdue_suspect *suspect)
{
    const struct overdue_suspect *before =
        o->before_count ? bsearch(suspect, o->before, o->before_count, sizeof(*suspect), compare)
                        : NULL;

    return before && before->next_attempt_us == suspect->next_attempt_us ? before : NULL;
}

static void remember(struct overdue *o, struct overdue_suspect *suspect)
{
    const struct overdue_suspect *before = find_before(o, suspect);

    if (before) {
        suspect->since_ms = before->since_ms;
        suspect->still_ms = before->still_ms;
        suspect->is_overdue = before->is_overdue;
    }
    o->now[o->now_count++] = *suspect;
}

static void look_at(void *arg, struct spool_message *message)
{
    struct queue *q = arg;
    int64_t wall_us = clock_wall_us();

    for (uint32_t i = 0; i < message->recipient_count && q->overdue->now_count < SUSPECTS_MAX;
         i++) {
        const struct spool_recipient *r = &message->recipients[i];
        struct overdue_suspect suspect = {.id = message->id,
                                          .index = r->index,
                                          .next_attempt_us = r->next_attempt_us,
                                          .since_ms = q->overdue->began_ms,
                                          .still_ms = io_loop_now_ms(q->loop)};
        if (is_late(q, r, wall_us, &suspect))
            remember(q->overdue, &suspect);
    }
}

/* ---- a backlog that moves ---- */

/* An attempt has ended since the last walk, as the disk knows. Whom an administrator took away
 * counts likewise. */
static bool has_gone_on(const struct queue *q, const struct overdue_suspect *before)
{
    struct spool_message *message = spool_find(q->spool, &before->id);
    const struct spool_recipient *r = message ? spool_find_recipient(message, before->index) : NULL;

    return !r || r->next_attempt_us != before->next_attempt_us;
}

/* For each lane: since when who has gone on had been late, at the longest. */
static void find_moves(const struct queue *q, int64_t out_since_ms[static SCHED_LANES + 1])
{
    const struct overdue *o = q->overdue;

    for (size_t i = 0; i <= SCHED_LANES; i++)
        out_since_ms[i] = INT64_MAX;
    for (size_t i = 0; i < o->before_count; i++) {
        const struct overdue_suspect *s = &o->before[i];
        if (s->since_ms < out_since_ms[s->lane] && has_gone_on(q, s))
            out_since_ms[s->lane] = s->since_ms;
    }
}

static bool is_excused(const struct overdue *o, const struct overdue_suspect *s, int64_t moved_ms,
                       int64_t now_ms)
{
    return (s->wait == SCHED_WAIT_TURN || s->wait == SCHED_WAIT_WINDOW) &&
           moved_ms <= s->since_ms && now_ms - s->since_ms < o->excuse_ms;
}

static void excuse(struct queue *q)
{
    struct overdue *o = q->overdue;
    int64_t since_ms[SCHED_LANES + 1], now_ms = io_loop_now_ms(q->loop);

    find_moves(q, since_ms);
    for (size_t i = 0; i < o->now_count; i++)
        if (is_excused(o, &o->now[i], since_ms[o->now[i].lane], now_ms))
            o->now[i].still_ms = now_ms;
}

/* ---- the alarm ---- */

static const char *wait_text(uint8_t wait)
{
    static const char *const texts[] = {
        [SCHED_WAIT_TURN] = "its turn",
        [SCHED_WAIT_PAUSE] = "its next attempt",
        [SCHED_WAIT_DESTINATION] = "the end of its destination's pause",
        [SCHED_WAIT_WINDOW] = "attempts under way to its destination",
        [SCHED_WAIT_OUTCOME] = "the outcome of an attempt",
        [SCHED_WAIT_RELEASE] = "its report to the sender",
        [SCHED_WAIT_OURS] = "the end of trouble of this server",
    };
    return texts[wait];
}

/* Booked for one recipient, or (NULL) for all that are not named. */
static int book_alarm(struct queue *q, const struct overdue_suspect *s, uint32_t count)
{
    struct event event = {.kind = EVENT_ALARM,
                          .time_us = clock_wall_us(),
                          .count = count,
                          .recipient_index = s ? s->index : EVENT_NO_RECIPIENT,
                          .actor_uid = EVENT_NO_ACTOR};
    struct buffer text = BUFFER_INIT;

    if (s) {
        event.message = s->id;
        buffer_printf(&text, "overdue: it waits for %s, for much longer than planned",
                      wait_text(s->wait));
    } else {
        buffer_printf(&text, "%u more recipients are overdue", count);
    }
    event.reply = buffer_span(&text);
    int r = event_book(q, &event, NULL, NULL);
    buffer_done(&text);
    return r;
}

static void log_alarm(const struct overdue_suspect *first, uint32_t count)
{
    char id[ID_TEXT + 1];

    id_format(&first->id, id);
    log_error("ALARM: %u recipient%s overdue, the first of %s, which waits for %s; postbuch audit "
              "names them",
              count, count == 1 ? " is" : "s are", id, wait_text(first->wait));
}

/* Whom the end of an attempt found in an act has no time of his own (outcome.c): the grace begins
 * when he is seen so. */
static bool is_due(const struct queue *q, const struct overdue_suspect *s)
{
    int64_t grace_ms = s->next_attempt_us ? 0 : q->overdue->grace_us / 1000;

    return io_loop_now_ms(q->loop) - s->still_ms >= q->overdue->patience_ms + grace_ms;
}

/* Of all who have no alarm of their own. */
static void raise_summed_alarm(struct queue *q, uint32_t count)
{
    struct overdue *o = q->overdue;

    if (book_alarm(q, NULL, count) < 0)
        return;
    for (size_t i = 0; i < o->now_count; i++)
        o->now[i].is_overdue |= is_due(q, &o->now[i]);
}

/* One line and a bounded number of events a walk. An alarm that can't be booked is raised again,
 * and so is one about who went on and hangs once more. */
static void raise_alarms(struct queue *q)
{
    struct overdue *o = q->overdue;
    const struct overdue_suspect *first = NULL;
    uint32_t fresh = 0;
    int r = 0;

    o->count = 0;
    for (size_t i = 0; i < o->now_count; i++) {
        struct overdue_suspect *s = &o->now[i];
        o->count += is_due(q, s);
        s->is_overdue &= is_due(q, s);
        if (!is_due(q, s) || s->is_overdue)
            continue;
        first = first ? first : s;
        if (++fresh > BOOKED_MAX || r < 0)
            continue;
        r = book_alarm(q, s, 1);
        s->is_overdue = r == 0;
    }
    if (fresh > BOOKED_MAX && r == 0)
        raise_summed_alarm(q, fresh - BOOKED_MAX);
    if (fresh)
        log_alarm(first, fresh);
}

/* ---- walking ---- */

static bool begin_walk(struct queue *q)
{
    struct overdue *o = q->overdue;

    if (o->cursor || io_loop_now_ms(q->loop) < o->next_ms)
        return o->cursor != 0;
    if (!o->now)
        o->now = malloc(SUSPECTS_MAX * sizeof(*o->now));
    o->now_count = 0;
    o->began_ms = io_loop_now_ms(q->loop);
    return o->now != NULL;
}

/* Sorted behind the alarms, for the next walk's look-ups. */
static void end_walk(struct queue *q)
{
    struct overdue *o = q->overdue;
    struct overdue_suspect *old = o->before;

    excuse(q);
    raise_alarms(q);
    if (o->now_count)
        qsort(o->now, o->now_count, sizeof(*o->now), compare);
    o->before = o->now;
    o->before_count = o->now_count;
    o->now = old;
    o->next_ms = io_loop_now_ms(q->loop) + o->pause_ms;
}

void overdue_tick(struct queue *q)
{
    if (!q->closing && begin_walk(q) &&
        !spool_walk(q->spool, &q->overdue->cursor, SLICE, look_at, q))
        end_walk(q);
}

bool overdue_is_told(const struct queue *q, const struct id *message,
                     const struct spool_recipient *recipient)
{
    const struct overdue_suspect *before = find_before(
        q->overdue, &(struct overdue_suspect){.id = *message,
                                              .index = recipient->index,
                                              .next_attempt_us = recipient->next_attempt_us});

    return before && before->is_overdue;
}

void overdue_status(const struct queue *q, struct buffer *json)
{
    const struct overdue *o = q->overdue;
    char id[ID_TEXT + 1];
    int named = 0;

    buffer_printf(json, ",\"overdue\":%llu,\"overdue_first\":[", (unsigned long long)o->count);
    for (size_t i = 0; i < o->before_count && named < NAMED_MAX; i++) {
        if (!o->before[i].is_overdue)
            continue;
        id_format(&o->before[i].id, id);
        buffer_printf(json, "%s\"%s\"", named++ ? "," : "", id);
    }
    buffer_printf(json, "]");
}
