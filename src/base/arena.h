/*
 * An arena: memory that is freed together, for one of the lifetimes session, transaction or call.
 * Allocations are aligned for any type and zeroed. A limit bounds what a peer can make it hold.
 */
#pragma once

#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used;  /* bytes handed out */
    size_t limit; /* 0: no limit */
};

#define ARENA_INIT ((struct arena){0})
#define ARENA_LIMITED(bytes) ((struct arena){.limit = (bytes)})

/* Zeroed memory, or NULL when there is none or the limit is reached. */
void *arena_alloc(struct arena *a, size_t size);
/* `count` elements of `size`; NULL when the product overflows. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size);

/* A copy in the arena with a NUL behind it (not counted). On failure .data is NULL. */
struct span arena_copy(struct arena *a, struct span s);

/* Frees all, but keeps one block for reuse. */
void arena_clear(struct arena *a);
void arena_done(struct arena *a);
