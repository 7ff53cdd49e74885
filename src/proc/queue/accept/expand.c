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

/* Children that are there already get the message only once; but an expansion never becomes empty
 * that way, or its parent would end in nothing. */
static bool is_there(const struct parcel *p, struct span address)
{
    for (size_t i = 0; i < p->envelope.recipient_count; i++)
        if (!(p->envelope.recipients[i].flags & ENVELOPE_RECIPIENT_EXPANDS) &&
            span_equal(p->envelope.recipients[i].address, address))
            return true;
    for (size_t e = 0; e < p->expansion_count; e++)
        for (size_t i = 0; i < p->expansions[e].child_count; i++)
            if (span_equal(p->expansions[e].children[i].address, address))
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
static int reserve(struct parcel *p)
{
    if (!p->expansions)
        p->expansions =
            arena_alloc_array(&p->arena, p->envelope.recipient_count, sizeof(*p->expansions));
    return p->expansions ? 0 : -ENOMEM;
}

enum { DEDUPLICATE_MAX = 1000 }; /* beyond, comparing each with each costs too much */

static int add_expansion(struct commit *c, const struct ipc_expanded *answer)
{
    struct parcel *p = c->parcel;
    size_t before = child_count(p);

    if (answer->address_count == 0 || before + answer->address_count > CHILDREN_MAX)
        return -E2BIG;
    struct envelope_recipient *children =
        arena_alloc_array(&p->arena, answer->address_count, sizeof(*children));
    if (!children || reserve(p) < 0)
        return -ENOMEM;
    struct spool_expansion *e = &p->expansions[p->expansion_count];
    *e = (struct spool_expansion){.parent = (uint32_t)c->next_recipient, .children = children};
    bool compare = before + answer->address_count <= DEDUPLICATE_MAX;
    for (size_t i = 0; i < answer->address_count; i++) {
        struct span address = answer->addresses[i].address;
        bool last_chance = i + 1 == answer->address_count && e->child_count == 0;
        if (compare && !last_chance && is_there(p, address))
            continue;
        int r = fill_child(c->queue, p, address, p->envelope.recipients[c->next_recipient].original,
                           &children[e->child_count]);
        if (r < 0)
            return r;
        e->child_count++;
    }
    p->expansion_count++;
    return 0;
}

static void on_expanded(struct ipc_call *call, const struct ipc_message *reply)
{
    struct commit *c = CONTAINER_OF(call, struct commit, call);

    if (!reply || reply->expanded.error || add_expansion(c, &reply->expanded) < 0) {
        c->expanded(c, false);
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

    c->state = COMMIT_EXPANDING;
    while (c->next_recipient < e->recipient_count &&
           !(e->recipients[c->next_recipient].flags & ENVELOPE_RECIPIENT_EXPANDS))
        c->next_recipient++;
    if (c->next_recipient == e->recipient_count) {
        c->expanded(c, true);
        return;
    }
    struct ipc_message ask = {.type = IPC_EXPAND,
                              .expand.address = e->recipients[c->next_recipient].address};
    c->call.fn = on_expanded;
    if (!c->queue->directory || ipc_call(c->queue->directory, &c->call, &ask) < 0)
        c->expanded(c, false);
}
