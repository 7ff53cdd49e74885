/*
 * The recipients of the envelope under way, in the order of their commands, each once: a station
 * that names one twice, or in two spellings, means one copy. Who is named in two ways (user+a,
 * user+b) stands there twice, so that the book knows either, and the queue closes the second as a
 * duplicate; what is wanted for either is told of the first. An index of them is kept sorted, so
 * that ten thousand cost no comparison of each with each. Not hashed as the queue's set of all whom
 * aliases lead to: most envelopes have one recipient, and so it needs no seed, and no memory but
 * the transaction's.
 */
#include "smtp/server/session.h"

/* Of an envelope but its recipients, and of the recipient that comes next. */
enum { OTHERS_MAX = 8192 };

/* By the number, or by the bytes: ten thousand long addresses are more than the queue can be told
 * at once, and a message that it can't take would be deferred for ever. RFC 5321 4.5.3.1.10: the
 * client sends it again for the rest. */
bool smtp_recipients_are_full(const struct smtp_server *s)
{
    const struct smtp_transaction *t = &s->transaction;
    size_t count = t->envelope.recipient_count;

    return count >= s->settings->recipients_max || count >= ENVELOPE_RECIPIENTS_MAX ||
           t->recipient_bytes + OTHERS_MAX > ENVELOPE_WIRE_MAX;
}

/* As mail/envelope.c writes them: each text with its length in front. */
static size_t wire_bytes(const struct envelope_recipient *r, const struct envelope_wish *wish)
{
    size_t bytes = 4 + r->address.size + 4 + r->original.size + 1 + ENVELOPE_KEY_BYTES;

    return bytes + 4 + 1 + 4 + wish->original.size;
}

/* Makes room for one more. By four, since the arena keeps the old lists until the transaction
 * ends: so they cost a third of the last one. */
static bool grow(struct arena *arena, void **list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? 4 * *capacity : 4;
    void *grown = arena_alloc_array(arena, wanted, size);
    if (!grown)
        return false;
    if (count)
        memcpy(grown, *list, count * size);
    *list = grown;
    *capacity = wanted;
    return true;
}

/* ---- the index ---- */

static int compare_nocase(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;

    for (size_t i = 0; i < size; i++) {
        int order = ascii_lower(a.data[i]) - ascii_lower(b.data[i]);
        if (order)
            return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

/* Canonical addresses are equal bytes; what the client wrote may be spelled in any way. *out_at:
 * where it stands in the index, or would. */
static bool find(const struct smtp_transaction *t, struct span address, struct span original,
                 size_t *out_at)
{
    size_t low = 0, high = t->envelope.recipient_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct envelope_recipient *r = &t->envelope.recipients[t->by_address[middle]];
        int order = span_compare(r->address, address);
        if (order == 0)
            order = compare_nocase(r->original, original);
        if (order == 0) {
            *out_at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out_at = low;
    return false;
}

/* The first one with this address, which would stand at `at`: one of its neighbours knows. It would
 * be the first itself when there is none. */
static uint32_t first_at(const struct smtp_transaction *t, struct span address, size_t at)
{
    const struct envelope *e = &t->envelope;

    for (size_t i = at > 0 ? at - 1 : 0; i <= at && i < e->recipient_count; i++)
        if (span_equal(e->recipients[t->by_address[i]].address, address))
            return t->firsts[t->by_address[i]];
    return (uint32_t)e->recipient_count;
}

static void insert(struct smtp_transaction *t, size_t at, uint32_t first)
{
    size_t count = t->envelope.recipient_count;

    t->firsts[count] = first;
    memmove(t->by_address + at + 1, t->by_address + at, (count - at) * sizeof(*t->by_address));
    t->by_address[at] = (uint32_t)count;
}

/* ---- what the sender wants to be told ---- */

static bool has_wish(const struct envelope_wish *wish)
{
    return wish->notify || wish->original.size;
}

static bool add_wish(struct smtp_transaction *t, size_t at, const struct envelope_wish *wish,
                     uint32_t recipient)
{
    struct envelope *e = &t->envelope;
    void *wishes = e->wishes;

    if (!has_wish(wish))
        return true;
    if (!grow(&t->arena, &wishes, e->wish_count, &t->wish_capacity, sizeof(*wish)))
        return false;
    e->wishes = wishes;
    memmove(e->wishes + at + 1, e->wishes + at, (e->wish_count - at) * sizeof(*wish));
    e->wishes[at] = *wish;
    e->wishes[at].recipient = recipient;
    e->wish_count++;
    return true;
}

/* RFC 3461 section 4.1: who says nothing is told of a failure, and perhaps of a delay. */
static unsigned wanted(unsigned notify)
{
    if (notify == ENVELOPE_NOTIFY_NEVER)
        return 0;
    return notify ? notify : ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY;
}

/* Whatever either asks for. */
static uint8_t merge_notify(uint8_t a, uint8_t b)
{
    unsigned both = wanted(a) | wanted(b);

    if (a == b || both == wanted(a))
        return a;
    return both == wanted(b) ? b : (uint8_t)both;
}

/* One copy means one ORCPT: the first that was given. */
static bool merge(struct smtp_transaction *t, uint32_t recipient, const struct envelope_wish *wish)
{
    struct envelope *e = &t->envelope;
    struct envelope_wish merged = {.original = SPAN("")};
    size_t at = envelope_wish_place(e, recipient);
    bool known = at < e->wish_count && e->wishes[at].recipient == recipient;

    if (known)
        merged = e->wishes[at];
    merged.notify = merge_notify(merged.notify, wish->notify);
    if (!merged.original.size) {
        merged.original = wish->original;
        t->recipient_bytes += wish->original.size;
    }
    if (!known)
        return add_wish(t, at, &merged, recipient);
    e->wishes[at].notify = merged.notify;
    e->wishes[at].original = merged.original;
    return true;
}

/* ---- adding ---- */

static bool make_room(struct smtp_transaction *t)
{
    struct envelope *e = &t->envelope;
    void *recipients = e->recipients, *tickets = t->tickets, *by_address = t->by_address;
    void *mailboxes = t->mailboxes, *firsts = t->firsts;
    size_t count = e->recipient_count;

    if (!grow(&t->arena, &recipients, count, &t->recipient_capacity, sizeof(*e->recipients)))
        return false;
    e->recipients = recipients;
    if (!grow(&t->arena, &tickets, count, &t->ticket_capacity, SMTP_TICKET_BYTES))
        return false;
    t->tickets = tickets;
    if (!grow(&t->arena, &by_address, count, &t->index_capacity, sizeof(*t->by_address)))
        return false;
    t->by_address = by_address;
    if (!grow(&t->arena, &firsts, count, &t->first_capacity, sizeof(*t->firsts)))
        return false;
    t->firsts = firsts;
    if (!grow(&t->arena, &mailboxes, count, &t->mailbox_capacity, sizeof(*t->mailboxes)))
        return false;
    t->mailboxes = mailboxes;
    return true;
}

static bool append(struct smtp_transaction *t, const struct smtp_question *q, struct span address,
                   size_t at)
{
    struct envelope *e = &t->envelope;
    uint32_t index = (uint32_t)e->recipient_count, first = first_at(t, address, at);

    if (!make_room(t) || (first == index ? !add_wish(t, e->wish_count, &q->wish, index)
                                         : !merge(t, first, &q->wish)))
        return false;
    memcpy(t->tickets[e->recipient_count], q->answer.ticket, SMTP_TICKET_BYTES);
    t->mailboxes[e->recipient_count] = q->answer.is_mailbox;
    t->member_count += q->answer.members;
    insert(t, at, first);
    struct envelope_recipient *r = &e->recipients[e->recipient_count++];
    *r = (struct envelope_recipient){
        .address = address, .original = q->address, .flags = q->answer.recipient_flags};
    t->recipient_bytes += wire_bytes(r, &q->wish);
    return true;
}

/* What the directory calls him; else as he was asked for. */
static struct span address_of(const struct smtp_question *q)
{
    return q->answer.address.size ? q->answer.address : q->address;
}

/* The queue takes no message that becomes more than an envelope holds; told only at its end, the
 * client would come back with the same for days. One alias always fits, and so does one that is
 * there already. */
bool smtp_recipient_is_too_much(const struct smtp_server *s, const struct smtp_question *q)
{
    const struct smtp_transaction *t = &s->transaction;
    uint64_t before = t->member_count;
    size_t at;

    return before && q->answer.members && before + q->answer.members > ENVELOPE_RECIPIENTS_MAX &&
           !find(t, address_of(q), q->address, &at);
}

bool smtp_recipient_add(struct smtp_server *s, const struct smtp_question *q)
{
    struct smtp_transaction *t = &s->transaction;
    struct span address = address_of(q);
    size_t at;

    if (find(t, address, q->address, &at))
        return merge(t, t->firsts[t->by_address[at]], &q->wish);
    if (q->answer.address.size)
        address = arena_copy(&t->arena, address);
    return address.data && append(t, q, address, at);
}
