/* A listing is the sorted ids of a moment; each is looked up again when its turn comes. */
#include "spool/lane.h"

#include <errno.h>
#include <stdlib.h>

struct spool_listing {
    struct spool *spool;
    size_t count, next;
    struct id ids[];
};

static int compare(const void *a, const void *b)
{
    return id_compare(a, b);
}

int spool_listing_new(struct spool *spool, struct spool_listing **out)
{
    const struct index *index = &spool->index;
    struct spool_listing *listing = malloc(sizeof(*listing) + index->messages * sizeof(struct id));

    if (!listing)
        return -ENOMEM;
    *listing = (struct spool_listing){.spool = spool};
    for (size_t i = 0; i < index->bucket_count; i++) {
        for (const struct spool_message *m = index_first(index, i); m; m = index_next(index, m)) {
            if (!(m->flags & SPOOL_MESSAGE_UNSEALED))
                listing->ids[listing->count++] = m->id;
        }
    }
    qsort(listing->ids, listing->count, sizeof(struct id), compare);
    *out = listing;
    return 0;
}

struct spool_message *spool_listing_next(struct spool_listing *listing)
{
    while (listing->next < listing->count) {
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
