/*
 * A list in the order of writing; the oldest gives its memory to the next upload. The data of an
 * extent in `kept` doesn't change, so the lock is held for the search and one copy of at most
 * extent_bytes.
 */
#include "spool/recent.h"

#include "spool/spool.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 4096 }; /* what store.h asks of memory that goes to the disk by itself */

void recent_init(struct recent *recent, size_t extent_bytes, size_t limit_bytes)
{
    *recent = (struct recent){.extent_bytes = extent_bytes, .limit_bytes = limit_bytes};
    pthread_mutex_init(&recent->lock, NULL);
    list_init(&recent->kept);
}

static struct recent_extent *take_oldest(struct recent *recent)
{
    pthread_mutex_lock(&recent->lock);
    struct list *link = list_take_first(&recent->kept);
    pthread_mutex_unlock(&recent->lock);
    return link ? CONTAINER_OF(link, struct recent_extent, link) : NULL;
}

static void destroy(struct recent *recent, struct recent_extent *extent)
{
    free(extent->data);
    free(extent);
    recent->total_bytes -= recent->extent_bytes;
}

void recent_done(struct recent *recent)
{
    struct recent_extent *extent;

    while ((extent = take_oldest(recent)))
        destroy(recent, extent);
    pthread_mutex_destroy(&recent->lock);
}

char *spool_memory(size_t bytes)
{
    return aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);
}

static struct recent_extent *make(struct recent *recent)
{
    struct recent_extent *extent = calloc(1, sizeof(*extent));

    if (!extent)
        return NULL;
    extent->data = spool_memory(recent->extent_bytes);
    if (!extent->data) {
        free(extent);
        return NULL;
    }
    recent->total_bytes += recent->extent_bytes;
    return extent;
}

/* At the limit the oldest kept one gives its memory; if none is kept, all are being filled or
 * written, and what bounds these is upload_bytes. */
struct recent_extent *recent_take(struct recent *recent)
{
    bool may_grow = recent->total_bytes + recent->extent_bytes <= recent->limit_bytes;
    struct recent_extent *extent = may_grow ? NULL : take_oldest(recent);
    return extent ? extent : make(recent);
}

void recent_drop(struct recent *recent, struct recent_extent *extent)
{
    if (extent)
        destroy(recent, extent);
}

void recent_keep(struct recent *recent, struct recent_extent *extent, uint64_t segment,
                 uint64_t offset, uint32_t bytes)
{
    extent->segment = segment;
    extent->offset = offset;
    extent->bytes = bytes;
    pthread_mutex_lock(&recent->lock);
    list_append(&recent->kept, &extent->link);
    pthread_mutex_unlock(&recent->lock);
    if (recent->total_bytes > recent->limit_bytes)
        destroy(recent, take_oldest(recent));
}

/* The newest first: what is handed on is seldom old. */
static const struct recent_extent *find(const struct recent *recent, uint64_t segment,
                                        uint64_t offset)
{
    for (struct list *link = recent->kept.prev; link != &recent->kept; link = link->prev) {
        const struct recent_extent *extent = CONTAINER_OF(link, struct recent_extent, link);
        if (extent->segment == segment && extent->offset == offset)
            return extent;
    }
    return NULL;
}

/* A segment's number never comes again, so what is found is what was written there; the caller
 * compares the checksum all the same. */
bool recent_read(struct recent *recent, uint64_t segment, uint64_t offset, uint32_t bytes, char *to)
{
    pthread_mutex_lock(&recent->lock);
    const struct recent_extent *extent = find(recent, segment, offset);
    bool found = extent && extent->bytes == bytes;
    if (found)
        memcpy(to, extent->data, bytes);
    pthread_mutex_unlock(&recent->lock);
    return found;
}
