/* A listing is the sorted ids of a moment; each is looked up again when its turn comes. */
#include "spool/lane.h"

#include <errno.h>
#include <stdlib.h>

struct spool_listing {
    struct spool *spool;
    size_t count, next;
    struct id ids[];
};

/* By one byte, those that are equal in it in the order in which they came. `starts`: how many have
 * each value. */
static void sort_by(size_t byte, const struct id *from, size_t count, size_t starts[static 256],
                    struct id *to)
{
    size_t at = 0;

    for (size_t value = 0; value < 256; value++) {
        size_t n = starts[value];
        starts[value] = at;
        at += n;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].bytes[byte]]++] = from[i];
}

/* From the last byte to the first; of a million ids half of the bytes are equal. Several times as
 * fast as qsort(), for the loop waits. */
static int sort(struct id *ids, size_t count)
{
    struct id *spare = malloc((count + 1) * sizeof(*spare)), *from = ids, *to = spare;

    if (!spare)
        return -ENOMEM;
    for (size_t byte = ID_BYTES; byte-- > 0 && count;) {
        size_t counts[256] = {0};
        for (size_t i = 0; i < count; i++)
            counts[from[i].bytes[byte]]++;
        if (counts[from[0].bytes[byte]] == count)
            continue;
        sort_by(byte, from, count, counts, to);
        struct id *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != ids)
        memcpy(ids, from, count * sizeof(*ids));
    free(spare);
    return 0;
}

enum { AHEAD = 8 }; /* rows come from all over the memory: each is asked for before its turn */

static void collect(const struct index *index, struct spool_listing *listing)
{
    for (size_t i = 0; i < index->bucket_count; i++) {
        if (i + AHEAD < index->bucket_count)
            __builtin_prefetch(index_first(index, i + AHEAD));
        for (const struct spool_message *m = index_first(index, i); m; m = index_next(index, m)) {
            if (!(m->flags & SPOOL_MESSAGE_UNSEALED))
                listing->ids[listing->count++] = m->id;
        }
    }
}

int spool_listing_new(struct spool *spool, struct spool_listing **out)
{
    const struct index *index = &spool->index;
    struct spool_listing *listing = malloc(sizeof(*listing) + index->messages * sizeof(struct id));

    if (!listing)
        return -ENOMEM;
    *listing = (struct spool_listing){.spool = spool};
    collect(index, listing);
    int r = sort(listing->ids, listing->count);
    if (r < 0)
        free(listing);
    else
        *out = listing;
    return r;
}

static void look_ahead(const struct spool_listing *listing)
{
    const struct index *index = &listing->spool->index;
    const struct id *ids = listing->ids + listing->next;
    size_t left = listing->count - listing->next;

    if (left > 2 * AHEAD)
        index_fetch_bucket(index, &ids[2 * AHEAD]);
    if (left > AHEAD)
        index_fetch_row(index, &ids[AHEAD]);
}

struct spool_message *spool_listing_next(struct spool_listing *listing)
{
    while (listing->next < listing->count) {
        look_ahead(listing);
        struct spool_message *m = spool_find(listing->spool, &listing->ids[listing->next++]);
        if (m)
            return m;
    }
    return NULL;
}

void spool_listing_free(struct spool_listing *listing)
{
    free(listing);
}

/* By buckets: a cursor that stays meaningful while rows come and go. When the table grows in
 * between, each bucket's rows stay in it or go to one behind all there were (index.c: bucket_of()):
 * they may be seen twice, but none is left out. */
bool spool_walk(struct spool *spool, size_t *cursor, size_t steps,
                void (*each)(void *arg, struct spool_message *message), void *arg)
{
    const struct index *index = &spool->index;
    size_t left = *cursor < index->bucket_count ? index->bucket_count - *cursor : 0;

    for (size_t end = *cursor + (left < steps ? left : steps); *cursor < end; ++*cursor)
        for (struct spool_message *m = index_first(index, *cursor); m; m = index_next(index, m))
            if (!(m->flags & SPOOL_MESSAGE_UNSEALED))
                each(arg, m);
    if (*cursor < index->bucket_count)
        return true;
    *cursor = 0;
    return false;
}
