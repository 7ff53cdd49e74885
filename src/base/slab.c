#include "base/slab.h"

#include <assert.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_GUARDS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_GUARDS 1
#endif
#endif

#ifdef SLAB_GUARDS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

/* Under the address sanitizer a free element may not be touched, as if it were freed memory: so a
 * handle that is used after slab_free() is found. */
static void close_off(const struct slab *slab, uint32_t handle)
{
    if (slab->guarded)
        ASAN_POISON_MEMORY_REGION(slab_at(slab, handle), slab->element_size);
}

static void open_up(const struct slab *slab, uint32_t handle)
{
    if (slab->guarded)
        ASAN_UNPOISON_MEMORY_REGION(slab_at(slab, handle), slab->element_size);
}

void slab_init(struct slab *slab, size_t element_size)
{
    assert(element_size >= sizeof(uint32_t) && element_size <= UINT32_MAX);
    *slab = (struct slab){.element_size = (uint32_t)element_size, .next_fresh = 1};
}

void slab_done(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    free(slab->chunks);
    bool guarded = slab->guarded;
    slab_init(slab, slab->element_size);
    slab->guarded = guarded;
}

/* The table of chunks grows with the first chunk and at each power of two. */
static bool grow(struct slab *slab)
{
    uint32_t n = slab->chunk_count;

    if ((n & (n - 1)) == 0) {
        char **chunks = realloc(slab->chunks, (n ? 2 * (size_t)n : 1) * sizeof(*chunks));
        if (!chunks)
            return false;
        slab->chunks = chunks;
    }
    char *chunk = malloc((size_t)SLAB_CHUNK_COUNT * slab->element_size);
    if (!chunk)
        return false;
    slab->chunks[slab->chunk_count++] = chunk;
    return true;
}

uint32_t slab_alloc(struct slab *slab)
{
    uint32_t handle = slab->first_free;

    if (handle) {
        open_up(slab, handle);
        memcpy(&slab->first_free, slab_at(slab, handle), sizeof(slab->first_free));
    } else {
        if (slab->next_fresh == UINT32_MAX)
            return 0;
        if (slab->next_fresh >> SLAB_CHUNK_SHIFT >= slab->chunk_count && !grow(slab))
            return 0;
        handle = slab->next_fresh++;
    }
    slab->count++;
    memset(slab_at(slab, handle), 0, slab->element_size);
    return handle;
}

void slab_free(struct slab *slab, uint32_t handle)
{
    memcpy(slab_at(slab, handle), &slab->first_free, sizeof(slab->first_free));
    close_off(slab, handle);
    slab->first_free = handle;
    slab->count--;
}
