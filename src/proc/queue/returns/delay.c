/*
 * Notices of delay: once a second a part of all that waits is looked at, so that all of it is
 * within a minute; whoever has waited too long is told, once for each recipient.
 */
#include "proc/queue/returns/delay.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/event.h"
#include "proc/queue/core/schedule.h"
#include "proc/queue/returns/undelivered.h"

enum {
    PARTS = 60,        /* ticks, one a second, until all was looked at */
    PLACES_MIN = 2048, /* so that a short queue is walked in one tick */
    FORWARD_SHARE = 4, /* of the delay: by so much the clock must be set forward to be in doubt */
    OPEN_MAX = 50,     /* notices under way; what doesn't fit is found the next time */
    ALL_MAX = 1000,    /* and with those that rest */
};

struct look {
    struct queue *queue;
    int64_t before_us; /* accepted before then: too long ago */
};

/* "4.4.1" of "451 4.4.1 …"; "" of our own words: the scheduler keeps nothing else of an attempt,
 * and what they mean isn't guessed. */
static struct span status_in(struct span why)
{
    size_t size = 0;

    if (!event_is_reply(why) || why.size < 6 || why.data[4] != '4' || why.data[5] != '.')
        return SPAN("");
    why = span_from(why, 4);
    while (size < why.size && size < 12 && why.data[size] != ' ')
        size++;
    return span_first(why, size);
}

/* Why it waits, as the scheduler knows. False: it doesn't wait any longer, or not for an attempt.
 */
static bool find_cause(struct queue *q, const struct spool_recipient *r, struct spool_status *out)
{
    uint32_t item = schedule_item(r);
    struct sched_explanation e;

    if (r->state != SPOOL_RECIPIENT_WAITING || r->is_closing || r->is_notified || !item)
        return false;
    sched_explain(q->sched, item, &e);
    *out = (struct spool_status){.recipient = r->index,
                                 .attempts = (uint16_t)e.attempts,
                                 .status = status_in(e.why),
                                 .reply = e.why,
                                 .host = schedule_said_by(&e),
                                 .detail = SPAN("")};
    return e.state == SCHED_PAUSED || e.state == SCHED_READY;
}

/* All of the message's late recipients in one notice. */
static void tell(struct queue *q, struct spool_message *message)
{
    struct undelivered *u = NULL;
    struct spool_status cause;

    for (uint32_t i = 0; i < message->recipient_count; i++) {
        if (!find_cause(q, &message->recipients[i], &cause))
            continue;
        if (!u)
            u = undelivered_new(q, &message->id, REPORT_DELAYED);
        if (!u || u->count == REPORT_RECIPIENTS_MAX || undelivered_add(u, &cause) < 0)
            break; /* the rest the next time */
    }
    if (u && !u->count)
        undelivered_free(u);
    else if (u)
        io_defer(q->loop, &q->returns->kick);
}

/* Who rests takes nobody's place. */
static bool has_room(const struct returns_tally *delayed)
{
    return delayed->all - delayed->resting < OPEN_MAX && delayed->all < ALL_MAX;
}

static void look_at(void *arg, struct spool_message *message)
{
    const struct look *look = arg;
    struct queue *q = look->queue;

    if (message->accepted_us < look->before_us && has_room(&q->returns->delayed) &&
        !(message->flags & SPOOL_MESSAGE_DAMAGED) &&
        !undelivered_find(q, &message->id, REPORT_DELAYED))
        tell(q, message);
}

/* A clock that was set forward makes all that waits look old, and by how much is true nobody can
 * know: it may have been wrong before. So all is taken for as old as can be sure, and nobody is
 * told too early, and at most one delay too late. What was set forward by less than a part of the
 * delay makes as little difference. */
static bool is_clock_in_doubt(struct returns *r, int64_t wall_us, int64_t delay_us)
{
    int64_t ahead_us = wall_us - clock_boottime_us(); /* a suspend sets no clock forward */

    if (r->has_looked && ahead_us - r->clock_ahead_us > delay_us / FORWARD_SHARE)
        r->set_forward_us = wall_us;
    if (r->set_forward_us > wall_us) /* it was set back meanwhile */
        r->set_forward_us = wall_us;
    r->clock_ahead_us = ahead_us;
    r->has_looked = true;
    return r->set_forward_us && wall_us - r->set_forward_us <= delay_us;
}

/* Without a report process nothing is begun: it would only rest, and be found again later anyway.
 */
void delay_tick(struct queue *q)
{
    int64_t delay_us = (int64_t)q->conf->delay_notice_ms * 1000, wall_us = clock_wall_us();
    struct look look = {q, wall_us - delay_us};
    struct spool_counts counts;

    if (!delay_us || is_clock_in_doubt(q->returns, wall_us, delay_us))
        return;
    if (q->closing || !q->returns->report)
        return;
    spool_get_counts(q->spool, &counts); /* the index has at most twice as many places */
    spool_walk(q->spool, &q->returns->scan, PLACES_MIN + 2 * counts.messages / PARTS, look_at,
               &look);
}
