/*
 * A flow is the list of ready items of one sender to one destination, through the items themselves.
 * It is found by hash, exists while it has items, and takes its turn among its destination's flows.
 */
#include "sched/internal.h"

#include <errno.h>

struct flow_key {
    const struct sched *sched;
    uint32_t destination, sender;
};

static bool flow_is(const void *arg, uint32_t handle)
{
    const struct flow_key *key = arg;
    const struct flow *f = flow_at(key->sched, handle);

    return f->destination == key->destination && f->sender == key->sender;
}

/* By Knuth's multiplier, since destinations are small numbers; senders are hashes already. */
static uint32_t flow_hash(uint32_t destination, uint32_t sender)
{
    return sender ^ destination * 2654435761u;
}

static uint32_t flow_find(const struct sched *s, uint32_t destination, uint32_t sender)
{
    struct flow_key key = {s, destination, sender};
    return table_find(&s->flow_table, flow_hash(destination, sender), flow_is, &key);
}

static uint32_t flow_new(struct sched *s, uint32_t destination, uint32_t sender)
{
    struct destination *d = destination_at(s, destination);
    uint32_t handle = slab_alloc(&s->flows);

    if (!handle)
        return 0;
    if (table_insert(&s->flow_table, flow_hash(destination, sender), handle) < 0) {
        slab_free(&s->flows, handle);
        return 0;
    }
    struct flow *f = flow_at(s, handle);
    f->destination = destination;
    f->sender = sender;
    if (lane_prefers(s, d, sender))
        list_prepend(&d->flows, &f->link);
    else
        list_append(&d->flows, &f->link);
    return handle;
}

static void flow_free(struct sched *s, uint32_t handle)
{
    struct flow *f = flow_at(s, handle);

    list_remove(&f->link);
    table_remove(&s->flow_table, flow_hash(f->destination, f->sender), handle);
    slab_free(&s->flows, handle);
}

/* All that can fail (a flow's memory) comes before the item is touched. */
int flow_append(struct sched *s, uint32_t item)
{
    struct item *i = item_at(s, item);
    uint32_t handle = flow_find(s, i->destination, i->sender);

    if (!handle)
        handle = flow_new(s, i->destination, i->sender);
    if (!handle)
        return -ENOMEM;
    struct flow *f = flow_at(s, handle);
    i->next = 0;
    i->prev_or_place = f->last;
    if (f->last)
        item_at(s, f->last)->next = item;
    else
        f->first = item;
    f->last = item;
    return 0;
}

void flow_remove(struct sched *s, uint32_t item)
{
    struct item *i = item_at(s, item);
    uint32_t handle = flow_find(s, i->destination, i->sender);
    struct flow *f = flow_at(s, handle);

    if (i->prev_or_place)
        item_at(s, i->prev_or_place)->next = i->next;
    else
        f->first = i->next;
    if (i->next)
        item_at(s, i->next)->prev_or_place = i->prev_or_place;
    else
        f->last = i->prev_or_place;
    if (!f->first)
        flow_free(s, handle);
}

/* The flow goes to the end before its item leaves: then it may be empty, and gone. */
uint32_t flow_take(struct sched *s, struct destination *d)
{
    struct flow *f = CONTAINER_OF(list_take_first(&d->flows), struct flow, link);
    uint32_t item = f->first;

    list_append(&d->flows, &f->link);
    flow_remove(s, item);
    return item;
}

/* For taking along: what the same sender has for the same destination can share its connection. */
uint32_t flow_first(const struct sched *s, uint32_t destination, uint32_t sender)
{
    uint32_t handle = flow_find(s, destination, sender);
    return handle ? flow_at(s, handle)->first : 0;
}
