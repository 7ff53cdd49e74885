/*
 * The book follows the log up to the sealed position that it is told, and tells what it has folded
 * and synced, so that segments can be recycled. Positions are sent at most every few milliseconds:
 * the book gains nothing from being woken for each group. It takes its time with them, unless it is
 * told that somebody waits.
 */
#include "proc/queue/core/feed.h"

#include <errno.h>

enum { FEED_PAUSE_MS = 50 };

/* As of the last seal. */
static uint64_t count_waiting(const struct queue *q)
{
    struct spool_counts counts;

    spool_get_counts(q->spool, &counts);
    return counts.waiting + counts.held - counts.unsealed;
}

/* A full channel is tried again: only the newest position matters, so nothing is queued. */
static void send_position(struct queue *q, bool is_awaited)
{
    struct feed *f = q->feed;
    struct spool_position position = spool_sealed_position(q->spool);
    struct ipc_message sealed = {
        .type = IPC_SEALED,
        .sealed = {position.segment, position.offset, count_waiting(q), is_awaited}};

    if (!f->book || (!is_awaited && spool_position_compare(position, f->sent) <= 0))
        return;
    if (ipc_notify(f->book, &sealed) < 0) {
        io_timer_set(f->timer, FEED_PAUSE_MS);
        return;
    }
    f->sent = position;
    f->sent_ms = io_loop_now_ms(q->loop);
}

static void on_timer(void *arg)
{
    struct queue *q = arg;
    send_position(q, !list_is_empty(&q->feed->waiters));
}

void feed_sealed(struct queue *q)
{
    int64_t pause = q->feed->sent_ms + FEED_PAUSE_MS - io_loop_now_ms(q->loop);

    if (pause <= 0)
        send_position(q, false);
    else
        io_timer_set(q->feed->timer, pause);
}

static void answer_waiters(struct feed *f, struct spool_position folded, int error)
{
    LIST_EACH(&f->waiters, link)
    {
        struct feed_waiter *w = CONTAINER_OF(link, struct feed_waiter, link);
        if (!error && spool_position_compare(w->position, folded) > 0)
            continue;
        list_remove(&w->link);
        w->fn(w, error);
    }
}

static void set_folded(struct queue *q, struct spool_position folded)
{
    q->feed->folded = folded;
    spool_book_synced(q->spool, folded);
}

static void on_folded(void *owner, const struct ipc_arrival *arrival)
{
    struct queue *q = owner;
    const struct ipc_position *p = &arrival->message->position;
    struct spool_position folded = {p->segment, p->offset};

    /* Nothing is recycled on the word of a book that claims to have read what isn't there. One that
     * goes back was damaged and reads again what the log still holds. */
    if (spool_position_compare(folded, q->feed->sent) > 0)
        return;
    set_folded(q, folded);
    answer_waiters(q->feed, folded, 0);
    committer_kick(&q->committer);
}

/* What was folded stays folded: rule 5c goes by what the last book told. Those who wait are told,
 * as nobody knows whether another book comes. */
static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct queue *q = owner;

    if (q->feed->book != channel)
        return;
    ipc_channel_free(channel);
    q->feed->book = NULL;
    answer_waiters(q->feed, q->feed->folded, -EPIPE);
}

static const struct ipc_handler handlers[] = {{IPC_FOLDED, on_folded}};
static const struct ipc_role book_role = {"book", handlers, ARRAY_SIZE(handlers), on_lost, false};

/* A new book may have lost what the last one had told: it is told the position again, and nothing
 * more is recycled until it tells what it has folded. */
int feed_book(struct queue *q, int fd)
{
    struct ipc_channel *old = q->feed->book;
    int r = ipc_channel_new(q->loop, fd, &book_role, q, &q->feed->book);

    if (r < 0)
        return r;
    ipc_channel_free(old);
    q->feed->sent = (struct spool_position){0};
    set_folded(q, (struct spool_position){0});
    send_position(q, false);
    return 0;
}

void feed_wait(struct queue *q, struct feed_waiter *waiter)
{
    struct feed *f = q->feed;

    waiter->position = spool_sealed_position(q->spool);
    list_append(&f->waiters, &waiter->link);
    if (!f->book) {
        list_remove(&waiter->link);
        waiter->fn(waiter, -EPIPE);
        return;
    }
    if (spool_position_compare(waiter->position, f->folded) > 0)
        send_position(q, true);
    answer_waiters(f, f->folded, 0);
}

void feed_wait_cancel(struct feed_waiter *waiter)
{
    list_remove(&waiter->link);
}

int feed_init(struct queue *q)
{
    list_init(&q->feed->waiters);
    return io_timer_new(q->loop, on_timer, q, &q->feed->timer);
}

void feed_done(struct queue *q)
{
    ipc_channel_free(q->feed->book);
    q->feed->book = NULL;
    io_timer_free(q->feed->timer);
}
