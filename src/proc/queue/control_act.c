/*
 * What an administrator does to waiting recipients: hold, release, retry now. Each act is booked
 * with the uid of who asked, and answered when that is on disk. Acts on a whole destination walk
 * the messages, a slice a turn.
 */
#include "proc/queue/control.h"

#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLICE_MESSAGES = 500, STATUSES_MAX = 100, PAUSE_MS = 20 };

struct act {
    struct list link;
    struct control_client *client; /* NULL: gone; what was begun is finished */
    struct queue *queue;
    uint64_t token;
    struct ipc_queue_act wanted;
    struct arena arena; /* its texts */
    char who[48];
    struct io_timer *timer;
    struct spool_listing *messages; /* NULL: the one message is `next` */
    struct id next;                 /* zero: ask `messages` */
    uint32_t next_row;
    bool walked;      /* to the end */
    uint32_t pending; /* statuses on their way to the disk */
    uint32_t count;   /* recipients done */
    int error;        /* the first */
    bool damaged;     /* a damaged message was left alone */
};

static void act_free(struct act *a)
{
    list_remove(&a->link);
    io_timer_free(a->timer);
    if (a->messages)
        spool_listing_free(a->messages);
    arena_done(&a->arena);
    free(a);
}

static struct span words(const struct act *a)
{
    if (a->error)
        return SPAN("not all of it could be written to disk");
    if (a->damaged)
        return SPAN("a damaged message was left alone");
    return a->count ? SPAN("") : SPAN("nothing in the queue fits");
}

static void answer_if_done(struct act *a)
{
    if (!a->walked || a->pending)
        return;
    struct ipc_message m = {.type = IPC_QUEUE_ACTED,
                            .queue_acted = {.error = a->error   ? a->error
                                                     : a->count ? 0
                                                                : -ENOENT,
                                            .count = a->count,
                                            .text = words(a)}};
    if (a->client)
        ipc_reply(a->client->channel, a->token, &m);
    act_free(a);
}

static void on_sealed(void *arg, int error)
{
    struct act *a = arg;

    a->pending--;
    if (error && !a->error)
        a->error = error;
    answer_if_done(a);
}

static bool concerns(const struct act *a, const struct spool_recipient *r)
{
    bool held = r->state == SPOOL_RECIPIENT_HELD;

    if (!schedule_item(r) || r->is_closing || held != (a->wanted.act == IPC_ACT_RELEASE))
        return false;
    if (a->wanted.index != UINT32_MAX && a->wanted.index != r->index)
        return false;
    return a->wanted.destination.size == 0 ||
           span_equal_nocase(a->wanted.destination, spool_domain(a->queue->spool, r->domain));
}

static void apply(const struct act *a, struct spool_message *m, const struct spool_recipient *r)
{
    struct queue *q = a->queue;
    struct retry_policy retry = schedule_config(q->conf, 0).retry;
    int64_t now_ms = io_loop_now_ms(q->loop);
    uint32_t item = schedule_item(r);

    if (a->wanted.act == IPC_ACT_HOLD)
        sched_hold(q->sched, item, now_ms);
    else if (a->wanted.act == IPC_ACT_RETRY)
        sched_retry_now(q->sched, item, now_ms);
    else
        sched_release(q->sched, item,
                      retry_deadline_ms(&retry, m->accepted_us, clock_wall_us(), now_ms), now_ms);
}

static struct spool_status status_of(const struct act *a, const struct spool_recipient *r)
{
    static const enum spool_outcome outcomes[IPC_ACT_COUNT] = {
        [IPC_ACT_HOLD] = SPOOL_OUTCOME_HELD,
        [IPC_ACT_RELEASE] = SPOOL_OUTCOME_RELEASED,
        [IPC_ACT_RETRY] = SPOOL_OUTCOME_RETRIED,
    };
    int64_t now_us = clock_wall_us();

    return (struct spool_status){.recipient = r->index,
                                 .outcome = (uint8_t)outcomes[a->wanted.act],
                                 .attempts = r->attempts,
                                 .time_us = now_us,
                                 .next_attempt_us = now_us,
                                 .detail = span_from_cstr(a->who)};
}

/* The recipients from `*row` on, as many as fit a record. 0, or -EAGAIN: later. */
static int act_on_some(struct act *a, struct spool_message *m, uint32_t *row)
{
    struct spool_status statuses[STATUSES_MAX];
    struct spool_recipient *chosen[STATUSES_MAX];
    uint32_t n = 0, i = *row;

    for (; i < m->recipient_count && n < STATUSES_MAX; i++)
        if (concerns(a, &m->recipients[i])) {
            chosen[n] = &m->recipients[i];
            statuses[n++] = status_of(a, &m->recipients[i]);
        }
    if (n && (m->flags & SPOOL_MESSAGE_DAMAGED) && a->wanted.act != IPC_ACT_HOLD) {
        a->damaged = true;
        n = 0;
    }
    int r = n ? spool_status(a->queue->spool, m, statuses, n, on_sealed, a) : 0;
    if (r == -EAGAIN)
        return r;
    *row = i;
    if (n == 0 || r == -EALREADY)
        return 0;
    if (r < 0) {
        a->error = a->error ? a->error : r;
        return 0;
    }
    a->pending++;
    a->count += n;
    for (uint32_t k = 0; k < n; k++)
        apply(a, m, chosen[k]);
    return 0;
}

static struct spool_message *next_message(struct act *a)
{
    struct spool_message *m = NULL;

    if (!id_is_zero(&a->next))
        m = spool_find(a->queue->spool, &a->next);
    if (!m) {
        a->next_row = 0;
        m = a->messages ? spool_listing_next(a->messages) : NULL;
    }
    if (m)
        a->next = m->id;
    return m;
}

/* Acts on a message as far as the spool has room. */
static int act_on_message(struct act *a, struct spool_message *m)
{
    int r = 0;

    while (r == 0 && a->next_row < m->recipient_count)
        r = act_on_some(a, m, &a->next_row);
    if (r == 0) {
        a->next = (struct id){{0}};
        a->next_row = 0;
    }
    return r;
}

static void on_slice(void *arg)
{
    struct act *a = arg;
    struct queue *q = a->queue;
    int64_t again_ms = 0;

    for (int i = 0; i < SLICE_MESSAGES && !a->walked; i++) {
        struct spool_message *m = next_message(a);
        if (!m) {
            a->walked = true;
        } else if (act_on_message(a, m) < 0) {
            again_ms = PAUSE_MS;
            break;
        }
    }
    committer_kick(q);
    dispatch_kick(q);
    if (!a->walked)
        io_timer_set(a->timer, again_ms);
    answer_if_done(a);
}

static struct act *act_new(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct act *a = calloc(1, sizeof(*a));
    int r = a ? io_timer_new(client->queue->loop, on_slice, a, &a->timer) : -ENOMEM;

    if (!a)
        return NULL;
    a->client = client;
    a->queue = client->queue;
    a->token = arrival->token;
    a->wanted = arrival->message->queue_act;
    a->wanted.destination = arena_copy(&a->arena, a->wanted.destination);
    snprintf(a->who, sizeof(a->who), "by uid %u", client->uid);
    a->next = a->wanted.id;
    if (r == 0 && id_is_zero(&a->wanted.id))
        r = spool_listing_new(client->queue->spool, &a->messages);
    if (r < 0 || !a->wanted.destination.data) {
        act_free(a);
        return NULL;
    }
    list_append(&client->acts, &a->link);
    return a;
}

static void refuse(struct control_client *client, uint64_t token, int error, const char *text)
{
    struct ipc_message m = {.type = IPC_QUEUE_ACTED,
                            .queue_acted = {.error = error, .text = span_from_cstr(text)}};
    ipc_reply(client->channel, token, &m);
}

void act_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    const struct ipc_queue_act *wanted = &arrival->message->queue_act;
    struct act *a;

    if (id_is_zero(&wanted->id) && wanted->destination.size == 0)
        refuse(client, arrival->token, -EINVAL, "name a message or a destination");
    else if (!list_is_empty(&client->acts))
        refuse(client, arrival->token, -EBUSY, "one act at a time");
    else if (!(a = act_new(client, arrival)))
        refuse(client, arrival->token, -ENOMEM, "out of memory");
    else
        on_slice(a);
}

void act_drop_all(struct control_client *client)
{
    struct list *link;

    while ((link = list_take_first(&client->acts))) {
        struct act *a = CONTAINER_OF(link, struct act, link);
        a->client = NULL;
        a->walked = true;
        io_timer_clear(a->timer);
        if (!a->pending)
            act_free(a);
    }
}
