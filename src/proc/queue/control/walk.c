/*
 * A batch in three steps: choose() on the loop by what is in memory, read_entries() on a thread,
 * then the owner's ready(). A message may go between two batches; the walk holds an id and not a
 * pointer over that time, and a message within a batch is held by its reader.
 */
#include "proc/queue/control/walk.h"

#include "mail/address.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/schedule.h"
#include <errno.h>
#include <stdlib.h>

/* ---- what fits ---- */

static bool is_part_of(struct span part, struct span text)
{
    for (size_t i = 0; i + part.size <= text.size; i++)
        if (span_starts_nocase(span_from(text, i), part))
            return true;
    return false;
}

/* Something stands on both sides of the "@"; else it is a part of one. */
static bool is_whole_address(struct span wanted)
{
    ptrdiff_t at = span_find_last(wanted, '@');

    return at > 0 && (size_t)at + 1 < wanted.size;
}

/* "@" and a domain are the end of an address; any other part may stand anywhere in it. */
static bool part_fits(struct span part, struct span address)
{
    if (part.size < 2 || part.data[0] != '@')
        return is_part_of(part, address);
    return part.size <= address.size &&
           span_equal_nocase(part, span_from(address, address.size - part.size));
}

static bool is_null_sender(struct span wanted)
{
    return span_equal(wanted, SPAN("<>"));
}

static bool address_fits(struct span wanted, struct span address)
{
    if (wanted.size == 0)
        return true;
    return is_whole_address(wanted) ? span_equal_nocase(wanted, address)
                                    : part_fits(wanted, address);
}

static bool sender_fits(struct span wanted, struct span sender)
{
    return is_null_sender(wanted) ? sender.size == 0 : address_fits(wanted, sender);
}

uint8_t walk_state_bit(enum sched_state state)
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

/* An address at another domain can't fit, unless the recipient was rerouted, or the address may be
 * an alias of ours: that leads anywhere, and only the envelope has it. A message's first recipient
 * is one that its client named, never one that an alias led to. */
static bool domain_may_fit(const struct walk *w, const struct spool_recipient *r,
                           struct span domain)
{
    return !w->knows_domain || route_is_override(domain) || span_equal_nocase(w->domain, domain) ||
           (w->domain_is_here && r->index > 0);
}

static bool destination_fits(const struct walk *w, struct span domain)
{
    struct route route;

    if (w->filter.destination.size == 0 || span_equal_nocase(w->filter.destination, domain))
        return true;
    if (!route_is_override(domain))
        return false;
    route_find(w->queue->conf, domain, &route);
    return span_equal_nocase(w->filter.destination, route.destination);
}

/* A recipient whose outcome is on its way to the disk still waits: before the seal neither the book
 * nor a restart knows better. */
static bool fits_in_memory(const struct walk *w, const struct spool_recipient *r,
                           struct sched_explanation *out)
{
    struct span domain = spool_domain(w->queue->spool, r->domain);
    uint32_t item = schedule_item(r);

    if (r->state == SPOOL_RECIPIENT_CLOSED)
        return false;
    *out = (struct sched_explanation){
        .wait = SCHED_WAIT_OUTCOME, .state = SCHED_ACTIVE, .attempts = r->attempts};
    if (item)
        sched_explain(w->queue->sched, item, out);
    if (w->filter.states && !(w->filter.states & walk_state_bit(out->state)))
        return false;
    return domain_may_fit(w, r, domain) && destination_fits(w, domain);
}

bool walk_fits(const struct walk *w, const struct walk_entry *entry,
               const struct spool_recipient *recipient, struct sched_explanation *out)
{
    const struct envelope_recipient *named;

    if (!fits_in_memory(w, recipient, out))
        return false;
    if (w->filter.sender.size == 0 && w->filter.recipient.size == 0)
        return true;
    named = entry->stored ? spool_stored_recipient(entry->stored, recipient->index) : NULL;
    return named && sender_fits(w->filter.sender, entry->stored->envelope.sender) &&
           (address_fits(w->filter.recipient, named->address) ||
            address_fits(w->filter.recipient, named->original));
}

bool walk_may_fit(const struct walk *w, const struct walk_entry *entry,
                  const struct spool_recipient *recipient)
{
    struct sched_explanation e;

    return w->reads && !entry->stored && fits_in_memory(w, recipient, &e);
}

/* ---- which messages ---- */

/* The message of the batch before comes first when it had more rows than a batch; it may be gone by
 * now, then the listing goes on. One message may have thousands of recipients, so a batch can end
 * in the middle of it. */
static struct spool_message *next_message(struct walk *w, uint32_t *out_row)
{
    struct spool_message *m = NULL;

    *out_row = w->next_row;
    w->next_row = 0;
    if (!id_is_zero(&w->next)) {
        m = spool_find(w->queue->spool, &w->next);
        w->next = (struct id){{0}};
    }
    if (!m) {
        *out_row = 0;
        m = w->messages ? spool_listing_next(w->messages) : NULL;
        w->examined += m != NULL;
    }
    if (!m)
        w->ended = true;
    return m;
}

/* How many rows from `first` on fit, at most `max`; *out_end: behind the last that was looked at.
 */
static size_t count_rows(const struct walk *w, struct spool_message *m, uint32_t first, size_t max,
                         uint32_t *out_end)
{
    struct sched_explanation e;
    size_t n = 0;
    uint32_t i = first;

    for (; i < m->recipient_count && n < max; i++)
        n += fits_in_memory(w, &m->recipients[i], &e);
    *out_end = i;
    return n;
}

/* Without a reader the entry stays, with what memory knows of it: a listing shows that it waits, an
 * act tells that it was left alone. */
static void open_entry(struct walk *w, struct walk_entry *e, struct spool_message *m)
{
    if (w->reads && m && spool_reader_open(w->queue->spool, m, &e->reader) < 0)
        e->reader = NULL;
}

static void add_entry(struct walk *w, struct spool_message *m, uint32_t first, uint32_t end)
{
    struct walk_entry *e = &w->entries[w->count++];

    *e = (struct walk_entry){.id = m->id, .first_row = first, .end_row = end};
    open_entry(w, e, m);
}

/* Three bounds: what is looked at keeps the loop's turn short, messages keep the open readers few,
 * rows are what a page holds. A batch may be empty and not the last. The hash of the sender saves
 * reading a million envelopes for one address; it may fit by chance, so the envelope decides in
 * walk_fits(). */
static void choose(struct walk *w)
{
    size_t rows = 0;

    w->count = 0;
    for (int i = 0; i < WALK_EXAMINED && w->count < WALK_MESSAGES && rows < WALK_ROWS; i++) {
        uint32_t first, end;
        struct spool_message *m = next_message(w, &first);
        if (!m)
            return;
        if (w->knows_sender && m->sender != w->sender)
            continue;
        size_t n = count_rows(w, m, first, WALK_ROWS - rows, &end);
        if (end < m->recipient_count) {
            w->next = m->id;
            w->next_row = end;
        }
        if (n == 0)
            continue;
        add_entry(w, m, first, end);
        rows += n;
    }
}

/* ---- envelopes ---- */

/* On a thread: nothing but the readers is touched. Readers hold their messages' segments, so
 * compaction can't take them away meanwhile. */
static void read_entries(struct io_job *job)
{
    struct walk *w = CONTAINER_OF(job, struct walk, job);

    for (size_t i = 0; i < w->count; i++) {
        struct walk_entry *e = &w->entries[i];
        if (e->reader && spool_reader_load_envelope(e->reader, &e->stored) < 0)
            e->stored = NULL;
    }
}

/* Nobody waits any more when walk_free() came while the thread read: then it is done now. */
static void entries_read(struct io_job *job)
{
    struct walk *w = CONTAINER_OF(job, struct walk, job);

    w->reading = false;
    if (w->ready)
        w->ready(w);
    else
        walk_free(w);
}

void walk_rest(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct walk_entry *e = &w->entries[i];
        if (e->reader)
            spool_reader_close(w->queue->spool, e->reader);
        e->reader = NULL;
        e->stored = NULL;
    }
}

static void close_entries(struct walk *w)
{
    walk_rest(w);
    w->count = 0;
}

static void read_on_thread(struct walk *w)
{
    w->job = (struct io_job){.run = read_entries, .done = entries_read};
    w->reading = true;
    io_pool_submit(w->queue->work_pool, &w->job);
}

static void on_timer(void *arg)
{
    struct walk *w = arg;

    choose(w);
    if (w->reads && w->count)
        read_on_thread(w);
    else
        w->ready(w);
}

void walk_again(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++)
        open_entry(w, &w->entries[i], spool_find(w->queue->spool, &w->entries[i].id));
    read_on_thread(w);
}

/* By a timer of 0 ms, so never before this returns, and other events have their turn between two
 * batches. */
void walk_next(struct walk *w)
{
    close_entries(w);
    io_timer_set(w->timer, 0);
}

/* ---- life ---- */

/* A whole address is looked for by its hash; a part of one, and one that isn't given, can't be. */
static int copy_filter(struct walk *w, const struct ipc_queue_filter *filter)
{
    w->filter = *filter;
    w->filter.sender = arena_copy(&w->arena, filter->sender);
    w->filter.recipient = arena_copy(&w->arena, filter->recipient);
    w->filter.destination = arena_copy(&w->arena, filter->destination);
    if (!w->filter.sender.data || !w->filter.recipient.data || !w->filter.destination.data)
        return -ENOMEM;
    bool null_sender = is_null_sender(filter->sender);
    w->knows_sender = null_sender || is_whole_address(filter->sender);
    w->sender = spool_sender_hash(w->queue->spool, null_sender ? SPAN("") : filter->sender);
    struct span to = w->filter.recipient;
    w->domain = address_domain_of(to);
    w->knows_domain = is_whole_address(to);
    w->domain_is_here = route_is_here(w->queue->conf, w->domain);
    return 0;
}

int walk_new(struct queue *q, const struct ipc_queue_filter *filter, bool reads,
             void (*ready)(struct walk *walk), void *arg, struct walk **out)
{
    struct walk *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->queue = q;
    w->ready = ready;
    w->arg = arg;
    w->reads = reads || filter->sender.size || filter->recipient.size;
    int r = copy_filter(w, filter);
    if (r == 0)
        r = io_timer_new(q->loop, on_timer, w, &w->timer);
    if (r == 0 && id_is_zero(&filter->id))
        r = spool_listing_new(q->spool, &w->messages);
    w->next = filter->id;
    if (r < 0)
        walk_free(w);
    else
        *out = w;
    return r;
}

/* A thread that reads can't be stopped: the walk is left to it, and entries_read() frees it. */
void walk_free(struct walk *w)
{
    if (!w)
        return;
    w->ready = NULL;
    if (w->reading) {
        io_timer_clear(w->timer);
        return;
    }
    close_entries(w);
    io_timer_free(w->timer);
    if (w->messages)
        spool_listing_free(w->messages);
    arena_done(&w->arena);
    free(w);
}
