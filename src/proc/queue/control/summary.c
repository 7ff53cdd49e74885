/*
 * The summary by destination and age. Walks all messages, a slice a turn, so that a million of them
 * hold up nobody.
 */
#include "proc/queue/control/client.h"

#include "base/clock.h"
#include "proc/queue/core/lane.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/schedule.h"
#include <errno.h>
#include <stdlib.h>

/* Some milliseconds of the loop: clients and stations wait for nobody longer than for a disk. */
enum { SLICE_MESSAGES = 5000 };

struct summary {
    struct control_client *client;
    uint64_t token;
    struct io_timer *timer;
    struct spool_listing *messages;
    int64_t now_us;
    struct ipc_queue_sum *sums; /* by the spool's number of the destination; unused: oldest_us 0 */
    uint32_t capacity;
    struct arena whys; /* a trouble for each destination */
    uint64_t message_count, recipient_count;
};

void summary_free(struct summary *s)
{
    if (!s)
        return;
    io_timer_free(s->timer);
    if (s->messages)
        spool_listing_free(s->messages);
    free(s->sums);
    arena_done(&s->whys);
    free(s);
}

/* By the spool's number of the domain, which is small and dense: no table to look up for each of a
 * million recipients. The array moves, so a pointer into it lives only until the next call. */
static struct ipc_queue_sum *sum_of(struct summary *s, uint32_t domain)
{
    if (domain >= s->capacity) {
        uint32_t capacity = s->capacity ? s->capacity : 64;
        while (capacity <= domain)
            capacity *= 2;
        struct ipc_queue_sum *sums = realloc(s->sums, capacity * sizeof(*sums));
        if (!sums)
            return NULL;
        memset(sums + s->capacity, 0, (capacity - s->capacity) * sizeof(*sums));
        s->sums = sums;
        s->capacity = capacity;
    }
    return &s->sums[domain];
}

static void count_state(struct ipc_queue_sum *sum, enum sched_state state)
{
    uint32_t *counts[] = {[SCHED_PAUSED] = &sum->paused,
                          [SCHED_READY] = &sum->ready,
                          [SCHED_ACTIVE] = &sum->active,
                          [SCHED_HELD] = &sum->held};
    ++*counts[state];
}

/* `ipc_queue_age_s` has upper ends; the last age takes all that is left. */
static void count_age(struct ipc_queue_sum *sum, int64_t age_us)
{
    unsigned i = 0;

    while (i < IPC_QUEUE_AGES - 1 && age_us > (int64_t)ipc_queue_age_s[i] * 1000000)
        i++;
    sum->ages[i]++;
}

/* One trouble for each destination, the first that is found: no more is shown. */
static int count_recipient(struct summary *s, const struct spool_message *m,
                           const struct spool_recipient *r)
{
    struct queue *q = s->client->queue;
    uint32_t item = schedule_item(r);
    struct sched_explanation e;

    if (!item)
        return 0;
    struct ipc_queue_sum *sum = sum_of(s, r->domain);
    if (!sum)
        return -ENOMEM;
    sched_explain(q->sched, item, &e);
    if (sum->oldest_us == 0 || m->accepted_us < sum->oldest_us)
        sum->oldest_us = m->accepted_us ? m->accepted_us : 1;
    if (sum->why.size == 0 && e.why.size)
        sum->why = arena_copy(&s->whys, span_first(e.why, IPC_QUEUE_WHY_MAX));
    count_state(sum, e.state);
    count_age(sum, s->now_us - m->accepted_us);
    s->recipient_count++;
    return 0;
}

static uint64_t total(const struct ipc_queue_sum *s)
{
    return (uint64_t)s->paused + s->ready + s->active + s->held;
}

/* The largest first: when there are more destinations than rows, these are the ones to be shown. */
static int by_total(const void *a, const void *b)
{
    uint64_t x = total(a), y = total(b);
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Names and health, before sorting makes the numbers meaningless. Destinations whose messages have
 * gone since are dropped. */
static uint32_t finish_sums(struct summary *s)
{
    struct queue *q = s->client->queue;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->capacity; i++) {
        if (s->sums[i].oldest_us == 0)
            continue;
        s->sums[n] = s->sums[i];
        s->sums[n++].destination = spool_domain(q->spool, i);
    }
    if (n)
        qsort(s->sums, n, sizeof(*s->sums), by_total);
    return n;
}

/* The trouble of the destination itself replaces that of one of its recipients: it is newer, and
 * about all of them. */
static void add_health(struct queue *q, struct ipc_queue_sum *sums, size_t count)
{
    struct sched_destination_info info;
    struct route route;

    for (size_t i = 0; i < count; i++) {
        route_find(q->conf, sums[i].destination, &route);
        if (!sched_destination(q->sched, route.destination, lane_of(&route), &info))
            continue;
        sums[i].window = info.window;
        if (info.why.size)
            sums[i].why = span_first(info.why, IPC_QUEUE_WHY_MAX);
        sums[i].resume_us = info.resume_ms ? schedule_wall_us(q, info.resume_ms) : 0;
    }
}

static void answer(struct summary *s, int error)
{
    struct control_client *client = s->client;
    uint32_t n = finish_sums(s);
    struct ipc_message m = {
        .type = IPC_QUEUE_SUMMARY,
        .queue_summary = {.error = error,
                          .now_us = s->now_us,
                          .messages = s->message_count,
                          .recipients = s->recipient_count,
                          .destinations = n,
                          .rows = s->sums,
                          .row_count = n < IPC_QUEUE_SUMMARY_ROWS ? n : IPC_QUEUE_SUMMARY_ROWS}};

    add_health(client->queue, s->sums, m.queue_summary.row_count);
    ipc_reply(client->channel, s->token, &m);
    client->summary = NULL;
    summary_free(s);
}

static void on_slice(void *arg)
{
    struct summary *s = arg;

    for (int i = 0; i < SLICE_MESSAGES; i++) {
        struct spool_message *m = spool_listing_next(s->messages);
        if (!m) {
            answer(s, 0);
            return;
        }
        s->message_count++;
        for (uint32_t r = 0; r < m->recipient_count; r++)
            if (count_recipient(s, m, &m->recipients[r]) < 0) {
                answer(s, -ENOMEM);
                return;
            }
    }
    io_timer_set(s->timer, 0);
}

static void answer_error(struct control_client *client, uint64_t token, int error)
{
    struct ipc_message m = {.type = IPC_QUEUE_SUMMARY,
                            .queue_summary = {.error = error, .now_us = clock_wall_us()}};
    ipc_reply(client->channel, token, &m);
}

/* One at a time for a client: a second one would walk the same messages for the same figures. */
void summary_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct queue *q = client->queue;

    if (client->summary) {
        answer_error(client, arrival->token, -EBUSY);
        return;
    }
    struct summary *s = calloc(1, sizeof(*s));
    int r = s ? io_timer_new(q->loop, on_slice, s, &s->timer) : -ENOMEM;

    if (r == 0)
        r = spool_listing_new(q->spool, &s->messages);
    if (r < 0) {
        summary_free(s);
        answer_error(client, arrival->token, r);
        return;
    }
    s->client = client;
    s->token = arrival->token;
    s->now_us = clock_wall_us();
    client->summary = s;
    /* The first slice at once: most queues are that small, and the answer comes without a turn of
     * the loop. */
    on_slice(s);
}
