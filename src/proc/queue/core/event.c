/* An event's way into the log, which the book follows. */
#include "proc/queue/core/event.h"

#include "proc/queue/core/queue.h"

int event_book(struct queue *q, struct event *event, spool_done_fn *done, void *arg)
{
    struct buffer wire = BUFFER_LIMITED(SPOOL_EVENT_MAX);
    int r = queue_random(&q->random, event->key, sizeof(event->key));

    if (r == 0)
        r = codec_encode(&event_codec, event, &wire);
    if (r == 0)
        r = spool_event(q->spool, buffer_span(&wire), done, arg);
    if (r == 0)
        committer_kick(&q->committer);
    buffer_done(&wire);
    return r;
}
