/*
 * Destinations by name and lane, and where each one is: in its lane's ring when something of it may
 * go now, among those that wait for its site, or among the unused. destination_update() is the one
 * place that decides this, from counts and the site.
 */
#include "sched/internal.h"

#include <stdlib.h>

/* Destinations that lost their last item keep window, health and trust for the next one: some 2 MB.
 * A server that mails more domains than this in turn learns of the longest unused anew. */
enum { UNUSED_MAX = 8192 };

struct name_key {
    const struct sched *sched;
    struct span name;
    unsigned lane;
};

static bool name_is(const void *arg, uint32_t handle)
{
    const struct name_key *key = arg;
    const struct destination *d = destination_at(key->sched, handle);

    return d->lane == key->lane && span_equal(span_of(d->name, d->name_size), key->name);
}

/* From the list it is in, whichever that is: ring, site's waiting, unused. */
void destination_withdraw(struct sched *s, struct destination *d)
{
    if (d->place == DESTINATION_IDLE && list_is_linked(&d->link))
        s->unused_count--;
    if (d->crowd)
        lane_leave(d);
    else
        list_remove(&d->link);
    d->place = DESTINATION_IDLE;
}

static void destination_free(struct sched *s, struct destination *d)
{
    list_remove(&d->link);
    site_leave(s, d);
    table_remove(&s->destination_table, d->hash, d->handle);
    free(d->name);
    d->name = NULL;
    slab_free(&s->destinations, d->handle);
}

static uint32_t destination_new(struct sched *s, struct span name, unsigned lane, uint32_t hash)
{
    char *copy = malloc(name.size + 1);
    uint32_t handle = copy ? slab_alloc(&s->destinations) : 0;
    uint32_t site = handle ? site_new(s, lane) : 0;

    if (!site || table_insert(&s->destination_table, hash, handle) < 0) {
        if (site)
            slab_free(&s->sites, site);
        if (handle)
            slab_free(&s->destinations, handle);
        free(copy);
        return 0;
    }
    struct destination *d = destination_at(s, handle);
    if (name.size)
        memcpy(copy, name.data, name.size);
    d->name = copy;
    d->name_size = (uint32_t)name.size;
    d->hash = hash;
    d->handle = handle;
    d->lane = (uint8_t)lane;
    list_init(&d->flows);
    site_join(s, d, site);
    return handle;
}

/* The lane in the hash only spreads; name_is() compares it. */
static uint32_t hash_of(const struct sched *s, struct span name, unsigned lane)
{
    return sched_hash(s, name) + lane;
}

uint32_t destination_find(const struct sched *s, struct span name, unsigned lane)
{
    struct name_key key = {s, name, lane};
    return table_find(&s->destination_table, hash_of(s, name, lane), name_is, &key);
}

uint32_t destination_get(struct sched *s, struct span name, unsigned lane)
{
    uint32_t handle = destination_find(s, name, lane);
    return handle ? handle : destination_new(s, name, lane, hash_of(s, name, lane));
}

static bool has_items(const struct destination *d)
{
    for (unsigned i = 0; i < SCHED_STATE_COUNT; i++)
        if (d->counts[i])
            return true;
    return false;
}

/* The one that was unused longest goes; its site goes with its last member. */
static void become_unused(struct sched *s, struct destination *d)
{
    list_append(&s->unused, &d->link);
    if (++s->unused_count > UNUSED_MAX) {
        s->unused_count--;
        destination_free(s, CONTAINER_OF(s->unused.next, struct destination, link));
    }
}

void destination_update(struct sched *s, struct destination *d)
{
    struct site *site = site_at(s, d->site);
    enum destination_place place = d->counts[SCHED_READY] == 0 ? DESTINATION_IDLE
                                   : site_may_go(site)         ? DESTINATION_RUNNABLE
                                                               : DESTINATION_WAITING;

    bool moves = place == DESTINATION_RUNNABLE && d->crowd != lane_crowd(s, d);
    if (place == DESTINATION_IDLE)
        d->overtaken = false; /* who was is gone */
    if (place == d->place && place != DESTINATION_IDLE && !moves) {
        if (place == DESTINATION_RUNNABLE)
            lane_count_flows(d);
        return; /* it keeps its turn; IDLE ones go on, for the last item may have left */
    }
    destination_withdraw(s, d);
    d->place = place;
    if (place == DESTINATION_RUNNABLE)
        lane_enter(s, d);
    else if (place == DESTINATION_WAITING)
        list_append(&site->waiting, &d->link);
    else if (!has_items(d))
        become_unused(s, d);
}

void destination_free_all(struct sched *s)
{
    for (uint32_t h = 1; h < s->destinations.next_fresh; h++)
        free(destination_at(s, h)->name);
}
