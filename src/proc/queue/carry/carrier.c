/*
 * The channel to one carrier and the jobs on it. Credit is the channel's: without it jobs wait in
 * `blocked`, in their order, and no new one is started. When the carrier is lost each of its jobs
 * is booked as what its state says it can have become, and the scheduler has its recipients back.
 */
#include "proc/queue/carry/carrier.h"

#include "proc/queue/core/kick.h"
#include "proc/queue/core/lane.h"
#include "proc/queue/core/queue.h"

static void on_credit(struct ipc_waiter *waiter);
static void on_lost(void *owner, struct ipc_channel *channel, int error);

static void on_wanted(void *owner, const struct ipc_arrival *arrival)
{
    struct carrier *c = owner;

    c->user->wanted(c, arrival->message->job_wanted.job);
}

/* What it was given before, it reads before this answer. A job that it hasn't read when it ends
 * would be booked as uncertain. */
static void on_stop(void *owner, const struct ipc_arrival *arrival)
{
    struct carrier *c = owner;
    struct ipc_message reply = {.type = IPC_JOB_STOPPED};

    c->stopped = true;
    ipc_reply(arrival->channel, arrival->token, &reply);
}

static const struct ipc_handler mailbox_handlers[] = {{IPC_JOB_STOP, on_stop}};
static const struct ipc_role mailbox_role = {"mailbox", mailbox_handlers,
                                             ARRAY_SIZE(mailbox_handlers), on_lost, false};
static const struct ipc_handler smtp_handlers[] = {
    {IPC_JOB_WANTED, on_wanted},
    {IPC_JOB_STOP, on_stop},
};
static const struct ipc_role smtp_role = {"smtp", smtp_handlers, ARRAY_SIZE(smtp_handlers), on_lost,
                                          false};

bool carrier_is_mailbox(const struct carrier *c)
{
    return c->lane == LANE_MAILBOX;
}

void carrier_init(struct carrier *c, struct queue *q, unsigned lane,
                  const struct carrier_user *user)
{
    *c = (struct carrier){.queue = q,
                          .lane = lane,
                          .user = user,
                          .credit = {.fn = on_credit},
                          .jobs_max = lane == LANE_MAILBOX ? MAILBOX_JOBS_MAX : SMTP_JOBS_MAX};
    list_init(&c->blocked);
    list_init(&c->jobs);
    numbers_init(&c->numbered);
}

bool carrier_takes_jobs(const struct carrier *c)
{
    return c->channel && !c->stopped;
}

/* While jobs wait for credit no other may overtake them: it would only wait behind them. */
bool carrier_is_open(const struct carrier *c)
{
    return carrier_takes_jobs(c) && c->job_count < c->jobs_max && list_is_empty(&c->blocked);
}

/* In their order; the first that is blocked anew stops the rest. */
void carrier_retry(struct carrier *c)
{
    struct list now, *link;

    if (list_is_empty(&c->blocked))
        return;

    list_init(&now);
    list_move_all(&c->blocked, &now);
    while ((link = list_take_first(&now))) {
        list_append(&c->jobs, link);
        c->user->retry(link);
    }
    dispatch_kick(c->queue);
}

static void on_credit(struct ipc_waiter *waiter)
{
    carrier_retry(CONTAINER_OF(waiter, struct carrier, credit));
}

void carrier_wait(struct carrier *c)
{
    if (c->channel)
        ipc_wait(c->channel, &c->credit);
}

/* From a list of this moment: losing a job schedules its recipients, and may start others. */
static void lose_all(struct carrier *c)
{
    struct list now, *link;

    list_init(&now);
    list_move_all(&c->blocked, &now);
    list_move_all(&c->jobs, &now);
    while ((link = list_take_first(&now))) {
        list_append(&c->jobs, link);
        c->user->lose(link);
    }
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct carrier *c = owner;

    if (c->channel != channel)
        return;
    c->channel = NULL;
    ipc_wait_cancel(&c->credit);
    lose_all(c);
    ipc_channel_free(channel);
}

/* The new channel is made first: if that fails, the old one stays. */
int carrier_connect(struct carrier *c, int fd)
{
    const struct ipc_role *role = carrier_is_mailbox(c) ? &mailbox_role : &smtp_role;
    struct ipc_channel *channel;
    int r = ipc_channel_new(c->queue->loop, fd, role, c, &channel);

    if (r < 0)
        return r;
    carrier_abandon(c); /* whoever was there before */
    c->channel = channel;
    c->stopped = false;
    dispatch_kick(c->queue);
    return 0;
}

/* Read out while the channel is still its own: a job that is told to go on with its body must not
 * do so on another. */
void carrier_abandon(struct carrier *c)
{
    struct ipc_channel *channel = c->channel;

    ipc_channel_read_out(channel);
    ipc_wait_cancel(&c->credit);
    c->channel = NULL;
    ipc_channel_free(channel); /* answers the other calls */
    lose_all(c);
}
