/*
 * A slab of parcels, found by id in a table whose hash is seeded. A parcel is in one of two states:
 * its commit is under way (it belongs to the intake, counts for nothing here), or it is cached (it
 * is in the list, counts, and may go at any time).
 */
#include "proc/queue/core/parcel.h"

#include <errno.h>
#include <xxhash.h>

void parcels_init(struct parcels *parcels, size_t limit_bytes, uint64_t seed)
{
    *parcels = (struct parcels){.limit = limit_bytes, .seed = seed};
    slab_init(&parcels->slab, sizeof(struct parcel));
    list_init(&parcels->cached);
}

void parcels_done(struct parcels *parcels)
{
    struct list *link;

    while ((link = list_take_first(&parcels->cached)))
        parcel_free(parcels, CONTAINER_OF(link, struct parcel, link));
    slab_done(&parcels->slab);
    table_done(&parcels->by_id);
}

struct key {
    const struct parcels *parcels;
    const struct id *id;
};

static bool has_id(const void *arg, uint32_t handle)
{
    const struct key *key = arg;
    const struct parcel *parcel = slab_at(&key->parcels->slab, handle);
    return id_equal(&parcel->envelope.id, key->id);
}

static uint32_t hash(const struct parcels *parcels, const struct id *id)
{
    return (uint32_t)XXH3_64bits_withSeed(id->bytes, sizeof(id->bytes), parcels->seed);
}

struct parcel *parcel_find(const struct parcels *parcels, const struct id *id)
{
    struct key key = {parcels, id};
    uint32_t handle = table_find(&parcels->by_id, hash(parcels, id), has_id, &key);
    return handle ? slab_at(&parcels->slab, handle) : NULL;
}

/* One arena for all of it, so that forgetting a parcel is one free. */
static int fill(struct parcel *p, struct span envelope, struct span header, struct span body)
{
    struct span wire = arena_copy(&p->arena, envelope);

    p->header = arena_copy(&p->arena, header);
    p->body = arena_copy(&p->arena, body);
    if (!wire.data || !p->header.data || !p->body.data)
        return -ENOMEM;
    return codec_decode(&envelope_codec, wire, &p->arena, &p->envelope);
}

int parcel_new(struct parcels *parcels, struct span envelope, struct span header, struct span body,
               struct parcel **out)
{
    uint32_t handle = slab_alloc(&parcels->slab);

    if (!handle)
        return -ENOMEM;
    struct parcel *p = slab_at(&parcels->slab, handle);
    p->handle = handle;
    int r = fill(p, envelope, header, body);
    /* An id that is in memory was used just now; that it was used long ago the spool says. */
    if (r == 0 && parcel_find(parcels, &p->envelope.id))
        r = -EEXIST;
    if (r == 0)
        r = table_insert(&parcels->by_id, hash(parcels, &p->envelope.id), handle);
    if (r < 0) {
        arena_done(&p->arena);
        slab_free(&parcels->slab, handle);
        return r;
    }
    *out = p;
    return 0;
}

void parcel_free(struct parcels *parcels, struct parcel *p)
{
    if (!p)
        return;
    if (list_is_linked(&p->link))
        parcels->bytes -= p->bytes;
    list_remove(&p->link);
    table_remove(&parcels->by_id, hash(parcels, &p->envelope.id), p->handle);
    arena_done(&p->arena);
    slab_free(&parcels->slab, p->handle);
}

/* Oldest out first, and perhaps the newcomer itself: a parcel larger than the limit isn't kept. */
void parcel_cache(struct parcels *parcels, struct parcel *p)
{
    p->bytes = sizeof(*p) + p->arena.used;
    p->since = parcels->seconds;
    list_append(&parcels->cached, &p->link);
    parcels->bytes += p->bytes;
    while (parcels->bytes > parcels->limit)
        parcel_free(parcels, CONTAINER_OF(parcels->cached.next, struct parcel, link));
}

/* Counted in ticks, not by a clock: a clock that jumps must neither empty the cache nor fill it for
 * ever. */
size_t parcels_age(struct parcels *parcels)
{
    size_t before = parcels->bytes;

    parcels->seconds++;
    while (!list_is_empty(&parcels->cached)) {
        struct parcel *oldest = CONTAINER_OF(parcels->cached.next, struct parcel, link);
        if (parcels->seconds - oldest->since <= PARCEL_SECONDS)
            break;
        parcel_free(parcels, oldest);
    }
    return before - parcels->bytes;
}

const struct envelope_recipient *parcel_recipient(const struct parcel *p, uint32_t index)
{
    size_t i = index;

    if (i < p->envelope.recipient_count)
        return &p->envelope.recipients[i];
    i -= p->envelope.recipient_count;
    for (size_t e = 0; e < p->expansion_count; e++) {
        if (i < p->expansions[e].child_count)
            return &p->expansions[e].children[i];
        i -= p->expansions[e].child_count;
    }
    return NULL;
}
