/*
 * A slab: equal elements under 32-bit handles, for things of which there may be a million. Handles
 * are half a pointer, elements never move, freed ones are used again. Handle 0 is never given out:
 * it means "none" everywhere.
 */
#pragma once

#include "base/span.h"

struct slab {
    char **chunks;
    uint32_t chunk_count;
    uint32_t element_size; /* at least 4 */
    uint32_t next_fresh;   /* handles from here on were never used */
    uint32_t first_free;   /* a list through the elements' first four bytes */
    uint32_t count;        /* elements in use */
    bool guarded;          /* freed elements are never read: an address sanitizer may look to it */
};

enum { SLAB_CHUNK_SHIFT = 10, SLAB_CHUNK_COUNT = 1 << SLAB_CHUNK_SHIFT };

/* `element_size` in bytes, at least 4: a free element holds the handle of the next free one. */
void slab_init(struct slab *slab, size_t element_size);
/* Frees all elements; the slab is as after slab_init(). */
void slab_done(struct slab *slab);

/* A zeroed element's handle, or 0 when there is no memory (or no handle left). Elements don't move,
 * so pointers to others stay good. */
uint32_t slab_alloc(struct slab *slab);
/* `handle` must be in use. Its memory stays the slab's: a slab never shrinks. */
void slab_free(struct slab *slab, uint32_t handle);

/* `handle` must be in use. */
static inline void *slab_at(const struct slab *slab, uint32_t handle)
{
    return slab->chunks[handle >> SLAB_CHUNK_SHIFT] +
           (size_t)(handle & (SLAB_CHUNK_COUNT - 1)) * slab->element_size;
}
