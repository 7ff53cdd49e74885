/*
 * Listings of what waits. While the client prints a page the next one is made, so that a long
 * listing is as fast as the slower of the two. Somebody may read in a pager for a whole night: then
 * the batch that was read ahead lets go of the spool.
 *
 *            walk is ready, nobody asks         nobody asks for long
 *   WALKS ─────────────────────────────▶ READY ─────────────────────▶ RESTS
 *    │ ▲ ◀──────────asked: the next batch──┘                            │
 *    │ └────────────────────asked: the same batch───────────────────────┘
 *    └──the last page was given──▶ ENDED
 */
#include "proc/queue/control/client.h"

#include "base/clock.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/control/walk.h"
#include "proc/queue/core/lane.h"
#include "proc/queue/core/overdue.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/schedule.h"
#include <errno.h>
#include <stdlib.h>

enum { REST_MS = 2000 };

enum listing_state { LISTING_WALKS, LISTING_READY, LISTING_RESTS, LISTING_ENDED };

struct listing {
    struct control_client *client;
    struct walk *walk;
    struct io_timer *rest;
    enum listing_state state;
    uint64_t tokens[IPC_QUEUE_PAGES_ASKED]; /* of the calls that wait for a page, in order */
    size_t waiting;                         /* how many these are */
};

/* ---- the page ---- */

struct page {
    struct ipc_queue_page wire;
    struct ipc_queue_row rows[IPC_QUEUE_PAGE_ROWS];
};

_Static_assert((int)WALK_ROWS <= (int)IPC_QUEUE_PAGE_ROWS, "a batch is a page");

/* What the scheduler can't know: who would carry it, and that it is on its way back. Its item is
 * held for that, too, but its row isn't: a release would take the return back. */
static uint8_t wait_of(const struct queue *q, const struct spool_message *m,
                       const struct spool_recipient *r, const struct sched_explanation *e)
{
    bool is_given_up = e->wait == SCHED_WAIT_RELEASE && r->state == SPOOL_RECIPIENT_WAITING &&
                       !(m->flags & SPOOL_MESSAGE_DAMAGED);
    struct route route;

    route_find(q->conf, spool_domain(q->spool, r->domain), &route);
    if (route.way == ROUTE_RETURN || is_given_up)
        return IPC_WAIT_RETURN;
    bool waits_for_lane = e->wait == SCHED_WAIT_TURN || e->wait == SCHED_WAIT_OURS;
    if (waits_for_lane && e->lane < CARRIERS &&
        !carrier_takes_jobs(&q->dispatch->carriers[e->lane]))
        return IPC_WAIT_CARRIER;
    return (uint8_t)e->wait;
}

/* Times of the scheduler are monotonic and mean nothing outside this process, so they are told by
 * the wall clock. 0 stays 0: not known. */
static void add_row(const struct queue *q, struct page *page, const struct walk_entry *entry,
                    const struct spool_message *m, const struct spool_recipient *r,
                    const struct sched_explanation *e)
{
    const struct spool_stored *stored = entry->stored;
    const struct envelope_recipient *named =
        stored ? spool_stored_recipient(stored, r->index) : NULL;
    struct ipc_queue_row *row = &page->rows[page->wire.row_count++];

    *row = (struct ipc_queue_row){
        .id = m->id,
        .index = r->index,
        .accepted_us = m->accepted_us,
        .size_bytes = m->size_bytes,
        .destination = spool_domain(q->spool, r->domain),
        .state = walk_state_bit(e->state),
        .wait = wait_of(q, m, r, e),
        .attempts = (uint16_t)e->attempts,
        .next_attempt_us = e->until_ms ? schedule_wall_us(q, e->until_ms) : 0,
        .deadline_us = e->deadline_ms ? schedule_wall_us(q, e->deadline_ms) : 0,
        .why = span_first(e->why, IPC_QUEUE_WHY_MAX),
        .damaged = (m->flags & SPOOL_MESSAGE_DAMAGED) != 0,
        .doubtful = r->in_doubt,
        .overdue = overdue_is_told(q, &m->id, r),
    };
    if (row->damaged)
        row->why = SPAN("its bytes are damaged on the disk: it was set aside");
    if (named) {
        row->sender = stored->envelope.sender;
        row->address = named->address;
        row->size_bytes = stored->envelope.size_bytes; /* as in the book: without our header */
        row->original = named->original;
    }
}

/* The batch was chosen earlier: messages may have gone since, and recipients may be in another
 * state. What doesn't fit any more is left out, so a page may have fewer rows than the walk
 * counted. */
static void add_entry(const struct walk *w, struct page *page, const struct walk_entry *entry)
{
    struct spool_message *m = spool_find(w->queue->spool, &entry->id);
    struct sched_explanation e;

    for (uint32_t i = entry->first_row; m && i < entry->end_row && i < m->recipient_count; i++)
        if (page->wire.row_count < IPC_QUEUE_PAGE_ROWS &&
            walk_fits(w, entry, &m->recipients[i], &e))
            add_row(w->queue, page, entry, m, &m->recipients[i], &e);
}

static void answer_error(struct control_client *client, uint64_t token, int error)
{
    struct ipc_message m = {.type = IPC_QUEUE_PAGE, .queue_page = {.error = error, .last = true}};
    ipc_reply(client->channel, token, &m);
}

/* The oldest: pages are asked for ahead and answered in order, at most IPC_QUEUE_PAGES_ASKED of
 * them, so the shift is cheap. */
static uint64_t take_token(struct listing *l)
{
    uint64_t token = l->tokens[0];

    memmove(l->tokens, l->tokens + 1, --l->waiting * sizeof(l->tokens[0]));
    return token;
}

/* Those that wait for a page that won't come. */
static void answer_all(struct listing *l, int error)
{
    while (l->waiting)
        answer_error(l->client, take_token(l), error);
}

/* Gives the batch out and goes for the next one. */
static void answer(struct listing *l)
{
    struct page *page = calloc(1, sizeof(*page));
    struct ipc_message m = {.type = IPC_QUEUE_PAGE};
    struct walk *w = l->walk;

    io_timer_clear(l->rest);
    l->state = w->ended ? LISTING_ENDED : LISTING_WALKS;
    if (page) {
        page->wire.rows = page->rows;
        for (size_t i = 0; i < w->count; i++)
            add_entry(w, page, &w->entries[i]);
        page->wire.last = w->ended;
        page->wire.now_us = clock_wall_us();
        m.queue_page = page->wire;
    } else {
        m.queue_page.error = -ENOMEM;
    }
    ipc_reply(l->client->channel, take_token(l), &m);
    free(page);
    if (w->ended)
        answer_all(l, 0);
    else
        walk_next(w);
}

static void on_ready(struct walk *walk)
{
    struct listing *l = walk->arg;

    l->state = LISTING_READY;
    if (l->waiting)
        answer(l);
    else if (walk->reads) /* else it holds nothing that others need */
        io_timer_set(l->rest, REST_MS);
}

static void on_nobody_asks(void *arg)
{
    struct listing *l = arg;

    walk_rest(l->walk);
    l->state = LISTING_RESTS;
}

static void read_again(struct listing *l)
{
    l->state = LISTING_WALKS;
    walk_again(l->walk);
}

/* ---- life ---- */

void listing_free(struct listing *l)
{
    if (!l)
        return;
    walk_free(l->walk);
    io_timer_free(l->rest);
    free(l);
}

/* One listing at a time. An asker that begins a new one doesn't want the rest; the waiting calls
 * must be answered all the same, each call gets its reply. */
static void end_old(struct control_client *client)
{
    struct listing *old = client->listing;

    if (old)
        answer_all(old, -ECANCELED);
    client->listing = NULL;
    listing_free(old);
}

void listing_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    const struct ipc_queue_filter *filter = &arrival->message->queue_filter;

    end_old(client);
    struct listing *l = calloc(1, sizeof(*l));
    int r = l ? io_timer_new(client->queue->loop, on_nobody_asks, l, &l->rest) : -ENOMEM;
    if (r == 0)
        r = walk_new(client->queue, filter, !filter->brief, on_ready, l, &l->walk);
    if (r < 0) {
        listing_free(l);
        answer_error(client, arrival->token, r);
        return;
    }
    l->client = client;
    l->tokens[l->waiting++] = arrival->token;
    client->listing = l;
    walk_next(l->walk);
}

void listing_more(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct listing *l = client->listing;

    if (!l || l->waiting == IPC_QUEUE_PAGES_ASKED || l->state == LISTING_ENDED) {
        answer_error(client, arrival->token, -EINVAL);
        return;
    }
    l->tokens[l->waiting++] = arrival->token;
    if (l->state == LISTING_READY)
        answer(l);
    else if (l->state == LISTING_RESTS)
        read_again(l);
}
