/*
 * What smtpd has for the book: refusals. A taken-over or flooded smtpd must own neither the disk
 * nor the book, so what comes too fast is only counted, and the count is booked.
 */
#include "proc/queue/accept/refusals.h"

#include "base/clock.h"
#include "proc/queue/core/event.h"
#include <errno.h>

static bool has_token(struct queue_peer *peer, size_t bytes)
{
    int64_t second = io_loop_now_ms(peer->queue->loop) / 1000;

    if (second != peer->event_second) {
        peer->event_second = second;
        peer->event_tokens = PEER_EVENTS_PER_SECOND;
        peer->event_bytes = PEER_EVENT_BYTES_PER_SECOND;
    }
    if (peer->event_tokens == 0 || peer->event_bytes < bytes)
        return false;
    peer->event_tokens--;
    peer->event_bytes -= (uint32_t)bytes;
    return true;
}

enum { LATE_MAX_S = 3600 };

/* A refusal is told at once, an aggregate within minutes. The book keeps an event in the week of
 * its time, so any other time could open as many weeks as there are. */
static int64_t timely(int64_t time_us, int64_t now_us)
{
    int64_t late_us = now_us - time_us; /* no overflow: see the caller */
    return late_us < 0 || late_us > (int64_t)LATE_MAX_S * 1000000 ? now_us : time_us;
}

/* Only what an smtpd may say, which is about no message of the queue and nobody's act. */
static void clean(struct event *event)
{
    int64_t now_us = clock_wall_us();

    event->time_us = event->time_us > 0 ? timely(event->time_us, now_us) : now_us;
    if (event->until_us)
        event->until_us =
            event->until_us > event->time_us && event->until_us < now_us ? event->until_us : now_us;
    event->message = (struct id){{0}};
    event->recipient_index = EVENT_NO_RECIPIENT;
    event->actor_uid = EVENT_NO_ACTOR;
}

/* 0 or -errno. */
static int book(struct queue *q, struct span bytes)
{
    struct arena arena = ARENA_LIMITED(256 * 1024);
    struct event event = {0};
    int r = codec_decode(&event_codec, bytes, &arena, &event);

    if (r == 0 && event.kind != EVENT_REFUSED)
        r = -EINVAL;
    if (r == 0) {
        clean(&event);
        r = event_book(q, &event, NULL, NULL);
    }
    arena_done(&arena);
    return r;
}

static void drop(struct queue *q)
{
    if (q->events->unbooked++ == 0)
        q->events->first_us = clock_wall_us();
    q->events->dropped++;
}

void events_take(struct queue_peer *peer, const struct ipc_arrival *arrival)
{
    struct queue *q = peer->queue;
    struct span bytes = arrival->message->event.event;

    if (has_token(peer, bytes.size) && book(q, bytes) == 0)
        q->events->booked++;
    else
        drop(q);
}

void events_tick(struct queue *q)
{
    struct event event = {.kind = EVENT_REFUSED,
                          .time_us = q->events->first_us,
                          .until_us = clock_wall_us(),
                          .count = q->events->unbooked,
                          .recipient_index = EVENT_NO_RECIPIENT,
                          .actor_uid = EVENT_NO_ACTOR,
                          .reply = SPAN("refusals that came too fast to be booked one by one")};

    if (q->events->unbooked && event_book(q, &event, NULL, NULL) == 0)
        q->events->unbooked = 0;
}
