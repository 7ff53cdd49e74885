/*
 * Dispatch: as long as the scheduler has something that may go and the mailbox can take it, jobs
 * are started; at the end of a turn, so that what a whole group added goes out in one write.
 */
#include "proc/queue/job.h"

#include "base/log.h"
#include "proc/queue/route.h"
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
 * same way. */
static uint32_t collect(struct queue *q, uint32_t first, struct job_item *items,
                        struct route *out_route)
{
    uint32_t count = 0, along;

    items[count++] = (struct job_item){sched_owner(q->sched, first), first};
    find_route(q, items[0].recipient, out_route);
    while (count < JOB_RECIPIENTS_MAX && (along = sched_peek_along(q->sched, first))) {
        struct spool_recipient *r = sched_owner(q->sched, along);
        if (!goes_along(q, items[0].recipient, out_route, r))
            break;
        sched_take_along(q->sched, along);
        items[count++] = (struct job_item){r, along};
    }
    return count;
}

static void refuse(struct queue *q, const struct job_item *items, uint32_t count, bool temporary,
                   const char *why)
{
    for (uint32_t i = 0; i < count; i++)
        outcome_fail(q, &items[i], temporary, why);
}

static void start_one(struct queue *q, uint32_t item)
{
    struct job_item items[JOB_RECIPIENTS_MAX];
    struct route route;
    uint32_t count = collect(q, item, items, &route);

    if (route.way == ROUTE_SMTP)
        refuse(q, items, count, true, "the smtp process is not there");
    else if (job_start(q, items, count) < 0)
        refuse(q, items, count, true, "out of memory");
}

static bool may_start(const struct queue *q)
{
    const struct dispatch *d = &q->dispatch;
    return d->mailbox && !q->closing && d->job_count < JOBS_MAX && list_is_empty(&d->blocked);
}

static void on_kick(struct io_deferred *deferred)
{
    struct queue *q = CONTAINER_OF(deferred, struct queue, dispatch.kick);
    int64_t now_ms = io_loop_now_ms(q->loop);
    uint32_t item;

    while (may_start(q) && (item = sched_take(q->sched, now_ms)))
        start_one(q, item);
    int64_t next_ms = sched_next_ms(q->sched);
    if (next_ms == INT64_MAX || next_ms <= now_ms)
        io_timer_clear(q->dispatch.timer); /* an outcome, a peer or credit kicks again */
    else
        io_timer_set(q->dispatch.timer, next_ms - now_ms);
}

static void on_timer(void *arg)
{
    dispatch_kick(arg);
}

void dispatch_kick(struct queue *q)
{
    io_defer(q->loop, &q->dispatch.kick);
}

/* Blocked jobs go again in their order; the first that is blocked anew stops the rest. */
static void on_credit(struct ipc_waiter *waiter)
{
    struct queue *q = CONTAINER_OF(waiter, struct queue, dispatch.credit);
    struct dispatch *d = &q->dispatch;
    struct list now, *link;

    list_init(&now);
    while ((link = list_take_first(&d->blocked)))
        list_append(&now, link);
    while ((link = list_take_first(&now))) {
        list_append(&d->jobs, link);
        job_retry(CONTAINER_OF(link, struct job, link));
    }
    dispatch_kick(q);
}

void dispatch_wait(struct queue *q)
{
    if (q->dispatch.mailbox)
        ipc_wait(q->dispatch.mailbox, &q->dispatch.credit);
}

static void lose_all(struct queue *q)
{
    struct dispatch *d = &q->dispatch;
    struct list now, *link;

    list_init(&now);
    while ((link = list_take_first(&d->blocked)) || (link = list_take_first(&d->jobs)))
        list_append(&now, link);
    while ((link = list_take_first(&now))) {
        struct job *job = CONTAINER_OF(link, struct job, link);
        list_append(&d->jobs, &job->link);
        job_lose(job);
    }
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct queue *q = owner;

    if (q->dispatch.mailbox != channel)
        return;
    q->dispatch.mailbox = NULL;
    ipc_wait_cancel(&q->dispatch.credit);
    lose_all(q);
    ipc_channel_free(channel);
}

static const struct ipc_role mailbox_role = {.peer_name = "mailbox", .lost = on_lost};

int dispatch_mailbox(struct queue *q, int fd)
{
    struct ipc_channel *channel;
    int r = ipc_channel_new(q->loop, fd, &mailbox_role, q, &channel);

    if (r < 0)
        return r;
    dispatch_abandon(q); /* whoever was there before */
    q->dispatch.mailbox = channel;
    dispatch_kick(q);
    return 0;
}

int dispatch_init(struct queue *q)
{
    struct dispatch *d = &q->dispatch;

    d->kick.fn = on_kick;
    d->credit.fn = on_credit;
    list_init(&d->blocked);
    list_init(&d->jobs);
    return io_timer_new(q->loop, on_timer, q, &d->timer);
}

void dispatch_abandon(struct queue *q)
{
    struct ipc_channel *channel = q->dispatch.mailbox;

    ipc_wait_cancel(&q->dispatch.credit);
    q->dispatch.mailbox = NULL;
    ipc_channel_free(channel); /* answers its calls */
    lose_all(q);
}

void dispatch_done(struct queue *q)
{
    struct dispatch *d = &q->dispatch;

    dispatch_abandon(q);
    io_defer_cancel(&d->kick);
    io_timer_free(d->timer);
}
