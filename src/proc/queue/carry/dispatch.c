/*
 * Dispatch: as long as the scheduler has something that may go and the process that carries it can
 * take it, jobs are started; at the end of a turn, so that what a whole group added goes out in one
 * write.
 */
#include "proc/queue/carry/dispatch.h"
#include "proc/queue/carry/job.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/lane.h"
#include "proc/queue/core/route.h"
#include "proc/queue/returns/return.h"

#include "proc/queue/carry/carriers.h"
#include <errno.h>

static void find_route(const struct queue *q, const struct spool_recipient *r, struct route *out)
{
    route_find(q->conf, spool_domain(q->spool, r->domain), out);
}

/* The scheduler paces by where they were to go when they were scheduled; where that is may have
 * changed since for one and not for the other. */
static bool goes_along(const struct queue *q, struct spool_recipient *first,
                       const struct route *route, struct spool_recipient *r)
{
    struct route own;

    if (spool_recipient_message(r) != spool_recipient_message(first))
        return false;
    if (r->domain == first->domain)
        return true;
    find_route(q, r, &own);
    return own.way == route->way && span_equal(own.next_hop, route->next_hop);
}

/* The first item and those that may go along: further recipients of the same message that go the
 * same way. RFC 5321 section 4.5.4.1: one copy for several recipients of the same host is better
 * than many. At most IPC_JOB_RECIPIENTS_MAX, which every server must take (section 4.5.3.1.8). */
static uint32_t collect(struct queue *q, uint32_t first, struct job_item *items,
                        struct route *out_route)
{
    uint32_t count = 0, along;

    items[count++] = (struct job_item){sched_owner(q->sched, first), first};
    find_route(q, items[0].recipient, out_route);
    while (count < IPC_JOB_RECIPIENTS_MAX && (along = sched_peek_along(q->sched, first))) {
        struct spool_recipient *r = sched_owner(q->sched, along);
        if (!goes_along(q, items[0].recipient, out_route, r))
            break;
        sched_take_along(q->sched, along);
        items[count++] = (struct job_item){r, along};
    }
    return count;
}

static void start_one(struct queue *q, uint32_t item)
{
    struct job_item items[IPC_JOB_RECIPIENTS_MAX];
    struct route route;
    uint32_t count = collect(q, item, items, &route);

    if (route.way == ROUTE_RETURN) {
        for (uint32_t i = 0; i < count; i++)
            outcome_give_back(q, &items[i]);
        return;
    }
    if (job_start(q, &route, items, count) == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        outcome_fail(q, &items[i], true, "out of memory");
}

/* A bit for each lane whose process can take a job now. */
static unsigned open_lanes(const struct queue *q)
{
    unsigned lanes = 0;
    bool begins = !q->closing && !returns_are_behind(q);

    for (unsigned i = 0; i < CARRIERS && begins; i++)
        if (carrier_is_open(&q->dispatch->carriers[i]))
            lanes |= 1u << i;
    if (!q->closing && returns_are_open(q))
        lanes |= 1u << LANE_RETURN;
    return lanes;
}

/* Beside the jobs, a slice a turn: there may be very many. */
static void on_expiry(void *arg)
{
    struct queue *q = arg;

    if (!q->closing && outcome_expired(q))
        io_timer_set(q->dispatch->expiry, 0);
}

/* Lanes are asked anew for each item: the one before may have filled its carrier. */
static void on_kick(struct io_deferred *deferred)
{
    struct queue *q = CONTAINER_OF(deferred, struct queue, dispatch_kick);
    int64_t now_ms = io_loop_now_ms(q->loop);
    uint32_t item;

    while ((item = sched_take(q->sched, open_lanes(q), now_ms)))
        start_one(q, item);
    int64_t next_ms = sched_next_ms(q->sched, open_lanes(q));
    if (next_ms == INT64_MAX || next_ms <= now_ms)
        io_timer_clear(q->dispatch->timer); /* an outcome, a peer or credit kicks again */
    else
        io_timer_set(q->dispatch->timer, next_ms - now_ms);
    if (sched_may_have_expired(q->sched) && returns_are_open(q))
        io_timer_set(q->dispatch->expiry, 0);
}

static void on_timer(void *arg)
{
    dispatch_kick(arg);
}

void dispatch_tick(struct queue *q)
{
    for (unsigned i = 0; i < CARRIERS; i++)
        carrier_retry(&q->dispatch->carriers[i]);
}

uint32_t dispatch_job_count(const struct queue *q)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < CARRIERS; i++)
        count += q->dispatch->carriers[i].job_count;
    return count;
}

int dispatch_connect(struct queue *q, unsigned carrier, int fd)
{
    if (carrier >= CARRIERS)
        return -EINVAL;
    return carrier_connect(&q->dispatch->carriers[carrier], fd);
}

int dispatch_init(struct queue *q)
{
    struct dispatch *d = q->dispatch;

    q->dispatch_kick.fn = on_kick;
    for (unsigned i = 0; i < CARRIERS; i++)
        carrier_init(&d->carriers[i], q, i, &job_user);
    int r = io_timer_new(q->loop, on_timer, q, &d->timer);
    return r < 0 ? r : io_timer_new(q->loop, on_expiry, q, &d->expiry);
}

void dispatch_abandon(struct queue *q)
{
    for (unsigned i = 0; i < CARRIERS; i++)
        carrier_abandon(&q->dispatch->carriers[i]);
}

void dispatch_done(struct queue *q)
{
    struct dispatch *d = q->dispatch;

    if (!d->timer)
        return;
    dispatch_abandon(q);
    io_defer_cancel(&q->dispatch_kick);
    io_timer_free(d->expiry);
    io_timer_free(d->timer);
}
