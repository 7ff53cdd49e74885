/*
 * Buckets of handles, chained through the rows' own `next`; a row in no bucket has its own handle
 * there instead. Rows with one recipient lie in a slab; larger ones are allocated and a slab has
 * pointers to them, so handles stay 32 bits. Rows of recipients are sorted by index, which replay
 * and look-ups use.
 */
#include "spool/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BUCKETS_MIN = 1024 };

_Static_assert(sizeof(struct spool_message) == 56 && sizeof(struct spool_recipient) == 24,
               "as small as they look");
_Static_assert(ENVELOPE_RECIPIENTS_MAX + SPOOL_CHILDREN_MAX < 1 << 20, "their bits suffice");

static size_t row_bytes(uint32_t recipients)
{
    return sizeof(struct spool_message) + recipients * sizeof(struct spool_recipient);
}

/* At the last @: a quoted local part may hold one. Without any the domain is "". */
struct span index_domain_of(struct span address)
{
    ptrdiff_t at = span_find_last(address, '@');
    return at < 0 ? SPAN("") : span_from(address, (size_t)at + 1);
}

/* At first use, so that an index which is all zero is an empty one. */
static void prepare_slabs(struct index *index)
{
    if (index->singles.element_size)
        return;
    slab_init(&index->singles, row_bytes(1));
    slab_init(&index->larger, sizeof(struct spool_message *));
    index->singles.guarded = true;
}

/* A handle is an index in the slab of pointers; the bit above says so. */
static struct spool_message *new_larger(struct index *index, uint32_t count)
{
    uint32_t handle = slab_alloc(&index->larger);
    struct spool_message *message =
        handle && !(handle & INDEX_LARGER) ? calloc(1, row_bytes(count)) : NULL;

    if (!message) {
        if (handle)
            slab_free(&index->larger, handle);
        return NULL;
    }
    *(struct spool_message **)slab_at(&index->larger, handle) = message;
    message->next = handle | INDEX_LARGER;
    return message;
}

/* The highest bit of a handle says which slab it is of; with so many rows (2^31) it would be taken
 * for the other's. */
static struct spool_message *new_single(struct index *index)
{
    uint32_t handle = slab_alloc(&index->singles);

    if (handle & INDEX_LARGER) {
        slab_free(&index->singles, handle);
        handle = 0;
    }
    if (!handle)
        return NULL;
    struct spool_message *message = slab_at(&index->singles, handle);
    message->next = handle;
    return message;
}

struct spool_message *index_new_rows(struct index *index, uint32_t count)
{
    prepare_slabs(index);
    struct spool_message *message = count == 1 ? new_single(index) : new_larger(index, count);
    if (!message)
        return NULL;
    message->recipient_count = count;
    for (uint32_t i = 0; i < count; i++) {
        message->recipients[i].row = i;
        message->recipients[i].domain = DOMAIN_NONE;
    }
    index->row_bytes += row_bytes(count);
    return message;
}

int index_set_domain(struct index *index, struct spool_recipient *recipient, struct span address)
{
    return domains_use(&index->domains, index_domain_of(address), &recipient->domain);
}

/* Which recipients an expansion closed, by index. NULL: no memory or (error set) no such parent. */
static bool *closed_parents(size_t total, size_t own, const struct spool_expansion *expansions,
                            size_t count, int *out_error)
{
    bool *closed = calloc(total + 1, sizeof(*closed));
    size_t known = own;

    *out_error = closed ? 0 : -ENOMEM;
    for (size_t i = 0; closed && i < count; i++) {
        const struct spool_expansion *e = &expansions[i];
        if (e->parent >= known || e->child_count == 0 || closed[e->parent])
            *out_error = -EINVAL;
        else
            closed[e->parent] = true;
        known += e->child_count;
    }
    if (*out_error < 0) {
        free(closed);
        return NULL;
    }
    return closed;
}

/* `domain` is set to none before anything can fail: index_free_message() gives back what is there.
 */
static int fill_row(struct index *index, struct spool_message *message, uint32_t *row,
                    uint32_t recipient, struct span address, int64_t first_attempt_us)
{
    struct spool_recipient *r = &message->recipients[*row];

    *r = (struct spool_recipient){.next_attempt_us = first_attempt_us,
                                  .row = *row,
                                  .index = recipient,
                                  .state = SPOOL_RECIPIENT_WAITING,
                                  .domain = DOMAIN_NONE};
    ++*row;
    return index_set_domain(index, r, address);
}

/* First the envelope's recipients, then each expansion's children: the order that
 * numbers them all. */
static int fill_rows(struct index *index, struct spool_message *message, const bool *closed,
                     const struct envelope *envelope, const struct spool_expansion *expansions,
                     size_t expansion_count, int64_t first_attempt_us)
{
    uint32_t row = 0, recipient = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < envelope->recipient_count; i++, recipient++) {
        if (!closed[recipient])
            r = fill_row(index, message, &row, recipient, envelope->recipients[i].address,
                         first_attempt_us);
    }
    for (size_t e = 0; e < expansion_count; e++) {
        for (size_t i = 0; r == 0 && i < expansions[e].child_count; i++, recipient++) {
            if (!closed[recipient])
                r = fill_row(index, message, &row, recipient, expansions[e].children[i].address,
                             first_attempt_us);
        }
    }
    return r;
}

/* A parent that was expanded has no row: its children wait in its place. All that can fail is done
 * before the row is shown to anybody. */
int index_new_message(struct index *index, const struct envelope *envelope,
                      const struct spool_expansion *expansions, size_t expansion_count,
                      int64_t first_attempt_us, uint64_t size_bytes, struct spool_message **out)
{
    size_t total = envelope->recipient_count;
    int r;

    for (size_t i = 0; i < expansion_count; i++)
        total += expansions[i].child_count;
    if (total > ENVELOPE_RECIPIENTS_MAX + SPOOL_CHILDREN_MAX || envelope->recipient_count == 0)
        return -EINVAL;
    bool *closed =
        closed_parents(total, envelope->recipient_count, expansions, expansion_count, &r);
    if (!closed)
        return r;
    struct spool_message *message = index_new_rows(index, (uint32_t)(total - expansion_count));
    if (message) {
        message->sender = index_sender_hash(index, envelope->sender);
        message->id = envelope->id;
        message->accepted_us = envelope->accepted_us;
        message->size_bytes = size_bytes;
        message->waiting = message->recipient_count;
        r = fill_rows(index, message, closed, envelope, expansions, expansion_count,
                      first_attempt_us);
    } else {
        r = -ENOMEM;
    }
    free(closed);
    if (r < 0) {
        index_free_message(index, message);
        return r;
    }
    *out = message;
    return 0;
}

void index_free_message(struct index *index, struct spool_message *message)
{
    if (!message)
        return;
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        if (message->recipients[i].domain != DOMAIN_NONE)
            domains_release(&index->domains, message->recipients[i].domain);
    }
    index->row_bytes -= row_bytes(message->recipient_count);
    free(index_bulk(message));
    if (message->next & INDEX_LARGER) {
        slab_free(&index->larger, message->next & ~INDEX_LARGER);
        free(message);
    } else {
        slab_free(&index->singles, message->next);
    }
    if (index->row_bytes == 0 && index->singles.chunk_count + index->larger.chunk_count > 2) {
        /* There were many: the memory goes back with the last one. */
        slab_done(&index->singles);
        slab_done(&index->larger);
    }
}

/* Seeded, so that a stranger can't choose senders with one hash. Two senders may share one all the
 * same: it only rules out. */
uint32_t index_sender_hash(const struct index *index, struct span sender)
{
    char lower[ENVELOPE_ADDRESS_MAX];

    sender = span_first(sender, sizeof(lower));
    for (size_t i = 0; i < sender.size; i++)
        lower[i] = ascii_lower(sender.data[i]);
    return (uint32_t)XXH3_64bits_withSeed(lower, sender.size, index->seed);
}

/* Without a seed: ids are made by us, not by strangers. */
static size_t bucket_of(const struct id *id, size_t bucket_count)
{
    return XXH3_64bits(id->bytes, sizeof(id->bytes)) & (bucket_count - 1);
}

static void put_in_bucket(uint32_t *bucket, struct spool_message *message, uint32_t handle)
{
    message->next = *bucket;
    *bucket = handle;
}

/* All at once, some milliseconds of the loop: the table never shrinks, so it happens a few times in
 * a server's life. */
static int grow(struct index *index)
{
    size_t count = index->bucket_count ? index->bucket_count * 2 : BUCKETS_MIN;
    uint32_t *buckets = calloc(count, sizeof(*buckets));

    if (!buckets)
        return -ENOMEM;
    for (size_t i = 0; i < index->bucket_count; i++) {
        uint32_t next;
        for (uint32_t handle = index->buckets[i]; handle; handle = next) {
            struct spool_message *m = index_row(index, handle);
            next = m->next;
            put_in_bucket(&buckets[bucket_of(&m->id, count)], m, handle);
        }
    }
    free(index->buckets);
    index->buckets = buckets;
    index->bucket_count = count;
    return 0;
}

static void count_state(struct index *index, uint8_t state, int by)
{
    if (state == SPOOL_RECIPIENT_WAITING)
        index->waiting += (uint64_t)by;
    else if (state == SPOOL_RECIPIENT_HELD)
        index->held += (uint64_t)by;
}

static void count_message(struct index *index, const struct spool_message *message, int by)
{
    index->messages += (uint64_t)by;
    for (uint32_t i = 0; i < message->recipient_count; i++)
        count_state(index, message->recipients[i].state, by);
    if (message->flags & SPOOL_MESSAGE_UNSEALED)
        index->unsealed += (uint64_t)by * message->waiting;
}

void index_seal(struct index *index, struct spool_message *message)
{
    index->unsealed -= message->waiting;
    message->flags &= ~(unsigned)SPOOL_MESSAGE_UNSEALED & SPOOL_MESSAGE_FLAGS;
}

int index_add(struct index *index, struct spool_message *message)
{
    if (index_find(index, &message->id))
        return -EEXIST;
    if (index->messages >= index->bucket_count && grow(index) < 0)
        return -ENOMEM;
    put_in_bucket(&index->buckets[bucket_of(&message->id, index->bucket_count)], message,
                  message->next);
    count_message(index, message, 1);
    return 0;
}

struct spool_message *index_find(const struct index *index, const struct id *id)
{
    if (!index->bucket_count)
        return NULL;
    struct spool_message *message = index_first(index, bucket_of(id, index->bucket_count));
    while (message && !id_equal(&message->id, id))
        message = index_next(index, message);
    return message;
}

/* A listing asks for the buckets and rows of the messages that come next: the time that memory
 * takes is spent on the one at hand. */
void index_fetch_bucket(const struct index *index, const struct id *id)
{
    if (index->bucket_count)
        __builtin_prefetch(&index->buckets[bucket_of(id, index->bucket_count)]);
}

void index_fetch_row(const struct index *index, const struct id *id)
{
    if (index->bucket_count)
        __builtin_prefetch(index_first(index, bucket_of(id, index->bucket_count)));
}

/* Where its handle stands: in its bucket, or in the row before it. Chains are as long as the load
 * of the table: about one. */
static uint32_t *link_to(const struct index *index, const struct spool_message *message)
{
    uint32_t *link = &index->buckets[bucket_of(&message->id, index->bucket_count)];
    struct spool_message *row;

    while ((row = index_row(index, *link)) != message)
        link = &row->next;
    return link;
}

/* Segments lose what it counted for them: that is what lets them go (rule 5). */
void index_remove(struct index *index, struct spool_message *message)
{
    uint32_t *link = link_to(index, message), handle = *link;

    *link = message->next;
    message->next = handle;
    count_message(index, message, -1);
    if (message->flags & SPOOL_MESSAGE_DAMAGED)
        index->set_aside--;
    index_set_home(message, NULL, 0, 0);
    index_set_extents(message, NULL);
}

struct spool_recipient *index_recipient(struct spool_message *message, uint32_t recipient)
{
    uint32_t low = 0, high = message->recipient_count;

    while (low < high) { /* rows are in the order of their indexes */
        uint32_t middle = low + (high - low) / 2;
        struct spool_recipient *r = &message->recipients[middle];
        if (r->index == recipient)
            return r->state == SPOOL_RECIPIENT_CLOSED ? NULL : r;
        if (r->index < recipient)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* What the message's record takes in its segment, near enough for compaction's choice. Inline
 * bodies lie in the record, those in bulk count there. */
static uint64_t bytes_at_home(const struct spool_message *message)
{
    return RECORD_HEADER_BYTES + message->meta_bytes +
           (message->has_bulk ? 0 : (uint64_t)message->size_bytes);
}

static void put_home(struct spool_message *message, struct segment *home)
{
    if (message->has_bulk)
        message->place.bulk->home = home;
    else
        message->place.home = home;
}

static void leave_home(struct spool_message *message)
{
    struct segment *home = index_home(message);

    if (!home)
        return;
    home->live_messages--;
    home->live_bytes -= bytes_at_home(message);
    put_home(message, NULL);
}

static void enter_home(struct spool_message *message, struct segment *home)
{
    put_home(message, home);
    if (!home)
        return;
    home->live_messages++;
    home->live_bytes += bytes_at_home(message);
}

void index_set_home(struct spool_message *message, struct segment *home, uint32_t offset,
                    uint32_t meta_bytes)
{
    leave_home(message);
    message->offset = offset;
    message->meta_bytes = meta_bytes;
    enter_home(message, home);
}

void index_count_use(struct spool_extents *extents, struct segment *segment, uint64_t bytes,
                     uint32_t block_bytes)
{
    bytes = segment_align(bytes, block_bytes);
    for (uint32_t i = 0; i < extents->count; i++) {
        if (extents->uses[i].segment == segment) {
            extents->uses[i].bytes += bytes;
            return;
        }
    }
    extents->uses[extents->count++] = (struct spool_extent_use){segment, bytes};
}

void index_set_extents(struct spool_message *message, struct spool_extents *extents)
{
    struct spool_extents *old = index_bulk(message);
    struct segment *home = index_home(message);

    leave_home(message); /* what it takes there depends on whether it has extents */
    for (uint32_t i = 0; extents && i < extents->count; i++) {
        extents->uses[i].segment->live_messages++;
        extents->uses[i].segment->live_bytes += extents->uses[i].bytes;
    }
    for (uint32_t i = 0; old && i < old->count; i++) {
        old->uses[i].segment->live_messages--;
        old->uses[i].segment->live_bytes -= old->uses[i].bytes;
    }
    free(old);
    message->has_bulk = extents != NULL;
    if (extents)
        message->place.bulk = extents;
    enter_home(message, home);
}

static void put_in_place(struct index *index, struct spool_message *old, struct spool_message *new,
                         uint32_t new_handle)
{
    uint32_t *link = link_to(index, old), handle = *link;

    *link = new_handle;
    old->next = handle;
    count_message(index, old, -1);
    count_message(index, new, 1);
    old->has_bulk = 0; /* the new row has it, as it has the home */
    index_free_message(index, old);
}

/* Only replay comes here, where nobody has a pointer to the row: while the server runs, children
 * come with their message and rows never move. */
int index_expand(struct index *index, struct spool_message *message,
                 const struct spool_expansion *expansion, uint32_t first_child)
{
    uint32_t count = message->recipient_count, added = (uint32_t)expansion->child_count;
    struct spool_recipient *parent = index_recipient(message, expansion->parent);
    struct spool_message *new;
    int r = 0;

    if (!parent || (count && message->recipients[count - 1].index >= first_child))
        return 0; /* done already */
    new = index_new_rows(index, count + added);
    if (!new)
        return -ENOMEM;
    for (uint32_t i = 0; r == 0 && i < added; i++) {
        uint32_t row = count + i;
        r = fill_row(index, new, &row, first_child + i, expansion->children[i].address,
                     message->recipients[0].next_attempt_us);
    }
    if (r < 0) {
        index_free_message(index, new);
        return r;
    }
    uint32_t handle = new->next;
    memcpy(new, message, row_bytes(count));
    new->recipient_count = count + added;
    new->waiting = new->waiting + added - 1;
    new->recipients[parent->row].state = SPOOL_RECIPIENT_CLOSED;
    for (uint32_t i = 0; i < count; i++) {
        if (new->recipients[i].domain != DOMAIN_NONE)
            domains_use_again(&index->domains, new->recipients[i].domain);
    }
    put_in_place(index, message, new, handle);
    return 0;
}

/* The machine of a recipient: WAITING and HELD turn into each other by an administrator's acts
 * (HELD also when the message's bytes are damaged), and both into CLOSED by a final outcome. CLOSED
 * is left by nothing (rule 4): index_recipient() doesn't find it any more. */
static uint8_t state_after(uint8_t state, uint8_t outcome)
{
    if (spool_outcome_is_final(outcome))
        return SPOOL_RECIPIENT_CLOSED;
    switch (outcome) {
    case SPOOL_OUTCOME_HELD:
        return SPOOL_RECIPIENT_HELD;
    case SPOOL_OUTCOME_RELEASED:
    case SPOOL_OUTCOME_RETRIED:
        return SPOOL_RECIPIENT_WAITING;
    default: /* an attempt's end doesn't release what was held meanwhile */
        return state;
    }
}

/* Who isn't waiting any more doesn't take it over: the use is given back. */
static void set_domain(struct index *index, struct spool_recipient *r, uint32_t domain)
{
    domains_release(&index->domains, r ? r->domain : domain);
    if (r)
        r->domain = domain;
}

struct spool_recipient *index_apply(struct index *index, struct spool_message *message,
                                    const struct index_change *change)
{
    struct spool_recipient *r = index_recipient(message, change->recipient);

    if (change->reroutes)
        set_domain(index, r, change->domain);
    if (!r)
        return NULL;
    if (change->outcome == SPOOL_OUTCOME_NOTIFIED) { /* says nothing of attempts */
        r->is_notified = 1;
        return r;
    }
    uint8_t state = state_after(r->state, change->outcome);
    count_state(index, r->state, -1);
    count_state(index, state, 1);
    r->state = state;
    if (state == SPOOL_RECIPIENT_CLOSED) {
        message->waiting--;
        return r;
    }
    /* Absolute values, not steps: applying it twice is applying it once (rule 3). */
    r->attempts = change->attempts;
    r->next_attempt_us = change->next_attempt_us;
    return r;
}

uint64_t index_memory(const struct index *index)
{
    return index->row_bytes + index->bucket_count * sizeof(*index->buckets) +
           domains_memory(&index->domains);
}

void index_done(struct index *index)
{
    for (size_t i = 0; i < index->bucket_count; i++) {
        struct spool_message *m;
        while ((m = index_first(index, i))) {
            uint32_t handle = index->buckets[i];
            index->buckets[i] = m->next;
            m->next = handle;
            index_set_home(m, NULL, 0, 0);
            index_set_extents(m, NULL);
            index_free_message(index, m);
        }
    }
    prepare_slabs(index); /* done with them is only who was prepared */
    slab_done(&index->singles);
    slab_done(&index->larger);
    free(index->buckets);
    domains_done(&index->domains);
    *index = (struct index){.seed = index->seed};
}
