#include "base/cells.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The test of what stands below asks for it. */
#ifdef CELLS_OWN
#elif defined(__SANITIZE_ADDRESS__)
#define CELLS_BY_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CELLS_BY_MALLOC 1
#endif
#endif

#ifdef CELLS_BY_MALLOC

void *cells_alloc(struct cells *cells)
{
    void *cell = calloc(1, cells->size);

    cells->count += cell != NULL;
    return cell;
}

void cells_free(struct cells *cells, void *cell)
{
    cells->count -= cell != NULL;
    free(cell);
}

#else

enum { CHUNK_CELLS = 1024 };

struct cells_chunk {
    struct cells_chunk *next;
    char bytes[] __attribute__((aligned(8)));
};

static void *fresh(struct cells *cells)
{
    if (cells->fresh == 0) {
        struct cells_chunk *chunk = malloc(sizeof(*chunk) + CHUNK_CELLS * cells->size);
        if (!chunk)
            return NULL;
        chunk->next = cells->chunks;
        cells->chunks = chunk;
        cells->fresh = CHUNK_CELLS;
    }
    return cells->chunks->bytes + --cells->fresh * cells->size;
}

void *cells_alloc(struct cells *cells)
{
    void *cell = cells->free;

    assert(cells->size >= sizeof(void *) && cells->size % 8 == 0);
    if (cell)
        memcpy(&cells->free, cell, sizeof(void *));
    else
        cell = fresh(cells);
    if (!cell)
        return NULL;
    cells->count++;
    return memset(cell, 0, cells->size);
}

static void free_chunks(struct cells *cells)
{
    struct cells_chunk *next;

    for (struct cells_chunk *chunk = cells->chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *cells = (struct cells){.size = cells->size};
}

void cells_free(struct cells *cells, void *cell)
{
    if (!cell)
        return;
    memcpy(cell, &cells->free, sizeof(void *));
    cells->free = cell;
    if (--cells->count == 0)
        free_chunks(cells);
}

#endif
