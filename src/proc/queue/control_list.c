/*
 * Listings of what waits. A page is made of what is in memory; addresses are read from disk, on a
 * thread, for the messages of the page only. No page looks at more than a bounded number of
 * messages, so a filter that fits nothing doesn't hold up the loop: such a page is just empty.
 */
#include "proc/queue/control.h"

#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>

enum { PAGE_MESSAGES = 64, PAGE_EXAMINED = 5000 };

struct entry {
    struct id id;
    uint32_t first_row; /* of the message's recipients */
    struct spool_reader *reader;
    const struct spool_stored *stored;
    int error;
};

struct listing {
    struct control_client *client; /* NULL: gone, only the thread still works for it */
    struct queue *queue;
    struct arena arena; /* the filter's texts */
    struct ipc_queue_filter filter;
    struct spool_listing *messages; /* NULL: only the one in `next` */
    struct id next;                 /* to begin the next page with; zero: ask `messages` */
    uint32_t next_row;
    bool ended;

    uint64_t token; /* of the call that waits for a page; 0: none */
    bool waiting, reading;
    struct io_job job;
    struct entry entries[PAGE_MESSAGES];
    size_t count;
};

/* ---- what fits ---- */

static bool is_part_of(struct span part, struct span text)
{
    for (size_t i = 0; i + part.size <= text.size; i++)
        if (span_starts_nocase(span_from(text, i), part))
            return true;
    return false;
}

static bool address_fits(struct span wanted, struct span address)
{
    if (wanted.size == 0)
        return true;
    return span_find(wanted, '@') >= 0 ? span_equal_nocase(wanted, address)
                                       : is_part_of(wanted, address);
}

static uint8_t state_bit(enum sched_state state)
{
    switch (state) {
    case SCHED_PAUSED:
        return IPC_QUEUE_PAUSED;
    case SCHED_READY:
        return IPC_QUEUE_READY;
    case SCHED_ACTIVE:
        return IPC_QUEUE_ACTIVE;
    default:
        return IPC_QUEUE_HELD;
    }
}

/* By what is in memory. A recipient whose outcome is on its way to the disk still waits: before the
 * seal neither the book nor a restart knows better. */
static bool fits(const struct listing *l, const struct spool_recipient *r,
                 struct sched_explanation *out)
{
    uint32_t item = schedule_item(r);

    if (r->state == SPOOL_RECIPIENT_CLOSED)
        return false;
    *out = (struct sched_explanation){
        .wait = SCHED_WAIT_OUTCOME, .state = SCHED_ACTIVE, .attempts = r->attempts};
    if (item)
        sched_explain(l->queue->sched, item, out);
    if (l->filter.states && !(l->filter.states & state_bit(out->state)))
        return false;
    return l->filter.destination.size == 0 ||
           span_equal_nocase(l->filter.destination, spool_domain(l->queue->spool, r->domain));
}

static size_t fitting_rows(const struct listing *l, struct spool_message *m, uint32_t first_row)
{
    struct sched_explanation e;
    size_t n = 0;

    for (uint32_t i = first_row; i < m->recipient_count; i++)
        n += fits(l, &m->recipients[i], &e);
    return n;
}

/* ---- the page ---- */

struct page {
    struct ipc_queue_page wire;
    struct ipc_queue_row rows[IPC_QUEUE_PAGE_ROWS];
};

static void add_row(struct listing *l, struct page *page, struct spool_message *m,
                    struct spool_recipient *r, const struct sched_explanation *e,
                    const struct spool_stored *stored)
{
    const struct envelope_recipient *named =
        stored ? spool_stored_recipient(stored, r->index) : NULL;

    if (named && !address_fits(l->filter.recipient, named->address) &&
        !address_fits(l->filter.recipient, named->original))
        return;
    struct ipc_queue_row *row = &page->rows[page->wire.row_count++];
    *row = (struct ipc_queue_row){
        .id = m->id,
        .index = r->index,
        .accepted_us = m->accepted_us,
        .size_bytes = m->size_bytes,
        .destination = spool_domain(l->queue->spool, r->domain),
        .state = state_bit(e->state),
        .wait = (uint8_t)e->wait,
        .attempts = (uint16_t)e->attempts,
        .next_attempt_us = e->until_ms ? schedule_wall_us(l->queue, e->until_ms) : 0,
        .deadline_us = e->deadline_ms ? schedule_wall_us(l->queue, e->deadline_ms) : 0,
        .why = span_first(e->why, IPC_QUEUE_WHY_MAX),
        .damaged = (m->flags & SPOOL_MESSAGE_DAMAGED) != 0,
    };
    if (row->damaged)
        row->why = SPAN("its bytes are damaged on the disk: it was set aside");
    if (named) {
        row->sender = stored->envelope.sender;
        row->address = named->address;
        row->original = named->original;
    }
}

static void add_entry(struct listing *l, struct page *page, const struct entry *entry)
{
    struct spool_message *m = spool_find(l->queue->spool, &entry->id);
    struct sched_explanation e;

    if (!m || (entry->stored && !address_fits(l->filter.sender, entry->stored->envelope.sender)))
        return;
    for (uint32_t i = entry->first_row;
         i < m->recipient_count && page->wire.row_count < IPC_QUEUE_PAGE_ROWS; i++)
        if (fits(l, &m->recipients[i], &e))
            add_row(l, page, m, &m->recipients[i], &e, entry->stored);
}

static void answer(struct listing *l)
{
    struct page *page = calloc(1, sizeof(*page));
    struct ipc_message m = {.type = IPC_QUEUE_PAGE};

    l->waiting = false;
    if (page) {
        page->wire.rows = page->rows;
        for (size_t i = 0; i < l->count; i++)
            add_entry(l, page, &l->entries[i]);
        page->wire.last = l->ended;
        page->wire.now_us = clock_wall_us();
        m.queue_page = page->wire;
    } else {
        m.queue_page.error = -ENOMEM;
    }
    ipc_reply(l->client->channel, l->token, &m);
    free(page);
}

static void close_entries(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->entries[i].reader)
            spool_reader_close(l->queue->spool, l->entries[i].reader);
    l->count = 0;
}

/* ---- which messages ---- */

static struct spool_message *next_message(struct listing *l, uint32_t *out_row)
{
    struct spool_message *m = NULL;

    *out_row = l->next_row;
    l->next_row = 0;
    if (!id_is_zero(&l->next)) {
        m = spool_find(l->queue->spool, &l->next);
        l->next = (struct id){{0}};
    }
    if (!m) {
        *out_row = 0;
        m = l->messages ? spool_listing_next(l->messages) : NULL;
    }
    if (!m)
        l->ended = true;
    return m;
}

static void continue_with(struct listing *l, const struct spool_message *m, uint32_t row)
{
    l->next = m->id;
    l->next_row = row;
}

/* The row after `max` fitting ones. */
static uint32_t row_after(const struct listing *l, struct spool_message *m, uint32_t row,
                          size_t max)
{
    struct sched_explanation e;

    for (; row < m->recipient_count && max > 0; row++)
        max -= fits(l, &m->recipients[row], &e);
    return row;
}

static void choose(struct listing *l)
{
    size_t rows = 0;

    for (int examined = 0; examined < PAGE_EXAMINED && l->count < PAGE_MESSAGES; examined++) {
        uint32_t first;
        struct spool_message *m = next_message(l, &first);
        if (!m)
            return;
        size_t n = fitting_rows(l, m, first);
        if (n == 0)
            continue;
        if (rows + n > IPC_QUEUE_PAGE_ROWS && rows > 0) {
            continue_with(l, m, first);
            return;
        }
        l->entries[l->count++] = (struct entry){.id = m->id, .first_row = first};
        rows += n;
        if (n > IPC_QUEUE_PAGE_ROWS) {
            continue_with(l, m, row_after(l, m, first, IPC_QUEUE_PAGE_ROWS));
            return;
        }
    }
}

static void read_entries(struct io_job *job)
{
    struct listing *l = CONTAINER_OF(job, struct listing, job);

    for (size_t i = 0; i < l->count; i++)
        if (l->entries[i].reader)
            l->entries[i].error = spool_reader_load(l->entries[i].reader, &l->entries[i].stored);
}

static void entries_read(struct io_job *job)
{
    struct listing *l = CONTAINER_OF(job, struct listing, job);

    l->reading = false;
    if (!l->client) {
        listing_free(l);
        return;
    }
    answer(l);
    close_entries(l);
}

/* A message that can't be read is still listed, without its addresses. */
static void open_readers(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct spool_message *m = spool_find(l->queue->spool, &l->entries[i].id);
        if (spool_reader_open(l->queue->spool, m, &l->entries[i].reader) < 0)
            l->entries[i].reader = NULL;
    }
}

static void make_page(struct listing *l, uint64_t token)
{
    l->token = token;
    l->waiting = true;
    choose(l);
    if (l->filter.brief || l->count == 0) {
        answer(l);
        l->count = 0;
        return;
    }
    open_readers(l);
    l->reading = true;
    l->job = (struct io_job){.run = read_entries, .done = entries_read};
    io_pool_submit(l->queue->work_pool, &l->job);
}

/* ---- life ---- */

void listing_free(struct listing *l)
{
    if (!l)
        return;
    if (l->reading) {
        l->client = NULL;
        return;
    }
    close_entries(l);
    if (l->messages)
        spool_listing_free(l->messages);
    arena_done(&l->arena);
    free(l);
}

static int listing_new(struct control_client *client, const struct ipc_queue_filter *filter,
                       struct listing **out)
{
    struct listing *l = calloc(1, sizeof(*l));
    int r = 0;

    if (!l)
        return -ENOMEM;
    l->client = client;
    l->queue = client->queue;
    l->filter = *filter;
    l->filter.sender = arena_copy(&l->arena, filter->sender);
    l->filter.recipient = arena_copy(&l->arena, filter->recipient);
    l->filter.destination = arena_copy(&l->arena, filter->destination);
    if (id_is_zero(&filter->id))
        r = spool_listing_new(client->queue->spool, &l->messages);
    else
        l->next = filter->id;
    if (!l->filter.sender.data || !l->filter.recipient.data || !l->filter.destination.data)
        r = r < 0 ? r : -ENOMEM;
    if (r < 0)
        listing_free(l);
    else
        *out = l;
    return r;
}

static void answer_error(struct control_client *client, uint64_t token, int error)
{
    struct ipc_message m = {.type = IPC_QUEUE_PAGE, .queue_page = {.error = error, .last = true}};
    ipc_reply(client->channel, token, &m);
}

/* A call that waits for its page while another one comes: one listing at a time. */
static void end_old(struct control_client *client)
{
    struct listing *old = client->listing;

    if (old && old->waiting)
        answer_error(client, old->token, -ECANCELED);
    client->listing = NULL;
    listing_free(old);
}

void listing_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    end_old(client);
    int r = listing_new(client, &arrival->message->queue_filter, &client->listing);
    if (r < 0)
        answer_error(client, arrival->token, r);
    else
        make_page(client->listing, arrival->token);
}

void listing_more(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct listing *l = client->listing;

    if (!l || l->waiting || l->ended)
        answer_error(client, arrival->token, -EINVAL);
    else
        make_page(l, arrival->token);
}
