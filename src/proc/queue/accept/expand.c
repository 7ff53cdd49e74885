/*
 * Expansion: recipients that the directory turns into others, once, at acceptance. The route of
 * each is decided at every attempt, but who gets the message is frozen here.
 */
#include "proc/queue/accept/commit.h"

#include <errno.h>

/* Of one message, all its aliases together: each is a row in memory and a line in reports. */
enum { CHILDREN_MAX = ENVELOPE_RECIPIENTS_MAX };

static size_t child_count(const struct parcel *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->expansion_count; i++)
        n += p->expansions[i].child_count;
    return n;
}

/* Who is named himself, wherever in the envelope, is there already; a second time he is a
 * duplicate.
 */
static int know_recipients(struct commit *c)
{
    struct envelope *e = &c->parcel->envelope;
    int r = queue_random(&c->queue->random, &c->known.seed, sizeof(c->known.seed));

    for (size_t i = 0; r == 0 && i < e->recipient_count; i++) {
        struct envelope_recipient *named = &e->recipients[i];
        if (named->flags & ENVELOPE_RECIPIENT_EXPANDS)
            continue;
        if (known_has(&c->known, named->address))
            named->flags |= ENVELOPE_RECIPIENT_DUPLICATE;
        else
            r = known_add(&c->known, named->address);
    }
    return r;
}

/* Perhaps somebody is named in two ways: smtpd names nobody twice in one. */
static bool may_have_duplicates(const struct envelope *e)
{
    for (size_t i = 0; e->recipient_count > 1 && i < e->recipient_count; i++)
        if (!span_equal(e->recipients[i].address, e->recipients[i].original))
            return true;
    return false;
}

static int fill_child(struct queue *q, struct parcel *p, struct span address, struct span original,
                      struct envelope_recipient *out)
{
    *out = (struct envelope_recipient){.address = arena_copy(&p->arena, address),
                                       .original = original};
    if (!out->address.data)
        return -ENOMEM;
    return queue_random(&q->random, out->key, sizeof(out->key));
}

/* The first expansion needs room for as many as there are recipients that expand. */
static int reserve(struct commit *c)
{
    struct parcel *p = c->parcel;

    if (p->expansions)
        return 0;
    p->expansions =
        arena_alloc_array(&p->arena, p->envelope.recipient_count, sizeof(*p->expansions));
    if (!p->expansions)
        return -ENOMEM;
    return c->known.count ? 0 : know_recipients(c);
}

/* Whoever isn't there yet becomes a child of `e`. */
static int add_child(struct commit *c, struct spool_expansion *e, struct span address)
{
    struct envelope_recipient *child = &e->children[e->child_count];

    if (known_has(&c->known, address))
        return 0;
    int r = fill_child(c->queue, c->parcel, address,
                       c->parcel->envelope.recipients[e->parent].original, child);
    if (r == 0)
        r = known_add(&c->known, child->address);
    e->child_count += r == 0;
    return r;
}

/* Never an empty one: the book takes an expansion into nobody for a loss. An alias of which all are
 * there stays a recipient, and says so: without a word it would be one whose expansion was lost. */
static int add_expansion(struct commit *c, const struct ipc_expanded *answer)
{
    struct parcel *p = c->parcel;
    int r = 0;

    if (answer->address_count == 0 || child_count(p) + answer->address_count > CHILDREN_MAX)
        return -E2BIG;
    struct envelope_recipient *children =
        arena_alloc_array(&p->arena, answer->address_count, sizeof(*children));
    if (!children || reserve(c) < 0)
        return -ENOMEM;
    struct spool_expansion *e = &p->expansions[p->expansion_count];
    *e = (struct spool_expansion){.parent = (uint32_t)c->next_recipient, .children = children};
    for (size_t i = 0; r == 0 && i < answer->address_count; i++)
        r = add_child(c, e, answer->addresses[i].address);
    if (r == 0 && e->child_count == 0)
        p->envelope.recipients[e->parent].flags |= ENVELOPE_RECIPIENT_DUPLICATE;
    p->expansion_count += r == 0 && e->child_count > 0;
    return r;
}

static void on_expanded(struct ipc_call *call, const struct ipc_message *reply)
{
    struct commit *c = CONTAINER_OF(call, struct commit, call);

    int r = reply ? reply->expanded.error : -EPIPE;

    if (r == 0)
        r = add_expansion(c, &reply->expanded);
    if (r) {
        c->expanded(c, r);
        return;
    }
    c->next_recipient++;
    commit_expand(c);
}

/* One after the other: the answers' order numbers the children, and few messages have more than one
 * alias. Without the directory the whole message is deferred: a part of it accepted would have to
 * be sent twice. */
void commit_expand(struct commit *c)
{
    const struct envelope *e = &c->parcel->envelope;

    if (c->state == COMMIT_BEGUN && may_have_duplicates(e) && know_recipients(c) < 0) {
        c->expanded(c, -ENOMEM);
        return;
    }
    c->state = COMMIT_EXPANDING;
    while (c->next_recipient < e->recipient_count &&
           !(e->recipients[c->next_recipient].flags & ENVELOPE_RECIPIENT_EXPANDS))
        c->next_recipient++;
    if (c->next_recipient == e->recipient_count) {
        known_done(&c->known);
        c->expanded(c, 0);
        return;
    }
    struct ipc_message ask = {.type = IPC_EXPAND,
                              .expand.address = e->recipients[c->next_recipient].address};
    c->call.fn = on_expanded;
    if (!c->queue->directory || ipc_call(c->queue->directory, &c->call, &ask) < 0)
        c->expanded(c, -EPIPE);
}
