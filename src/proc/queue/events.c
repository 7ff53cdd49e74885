/*
 * What smtpd has for the book: refusals. A taken-over or flooded smtpd must own neither the disk
 * nor the book, so what comes too fast is only counted, and the count is booked.
 */
#include "proc/queue/peer.h"

#include "base/clock.h"
#include <errno.h>

static bool has_token(struct queue_peer *peer)
{
    int64_t second = io_loop_now_ms(peer->queue->loop) / 1000;

    if (second != peer->event_second) {
        peer->event_second = second;
        peer->event_tokens = PEER_EVENTS_PER_SECOND;
    }
    if (peer->event_tokens == 0)
        return false;
    peer->event_tokens--;
    return true;
}

/* Only what an smtpd may say. */
static bool is_well_formed(struct span bytes)
{
    struct arena arena = ARENA_LIMITED(256 * 1024);
    struct event event = {0};
    bool ok = codec_decode(&event_codec, bytes, &arena, &event) == 0 &&
              (event.kind == EVENT_REFUSED || event.kind == EVENT_CONNECTED);

    arena_done(&arena);
    return ok;
}

static void drop(struct queue *q)
{
    if (q->events.unbooked++ == 0)
        q->events.first_us = clock_wall_us();
    q->events.dropped++;
}

void events_take(struct queue_peer *peer, const struct ipc_arrival *arrival)
{
    struct queue *q = peer->queue;
    struct span bytes = arrival->message->event.event;

    if (!is_well_formed(bytes) || !has_token(peer) ||
        spool_event(q->spool, bytes, NULL, NULL) < 0) {
        drop(q);
        return;
    }
    q->events.booked++;
    committer_kick(q);
}

void events_tick(struct queue *q)
{
    struct event event = {.kind = EVENT_REFUSED,
                          .time_us = q->events.first_us,
                          .until_us = clock_wall_us(),
                          .count = q->events.unbooked,
                          .recipient_index = EVENT_NO_RECIPIENT,
                          .actor_uid = EVENT_NO_ACTOR,
                          .reply = SPAN("refusals that came too fast to be booked one by one")};
    struct buffer wire = BUFFER_LIMITED(SPOOL_EVENT_MAX);

    if (!q->events.unbooked)
        return;
    if (codec_encode(&event_codec, &event, &wire) == 0 &&
        spool_event(q->spool, buffer_span(&wire), NULL, NULL) == 0) {
        q->events.unbooked = 0;
        committer_kick(q);
    }
    buffer_done(&wire);
}
