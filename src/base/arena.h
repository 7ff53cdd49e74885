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

/* Zeroed memory, the arena's until it is cleared; NULL when there is none or the limit is reached.
 * Nothing is freed by itself, and no address moves. */
void *arena_alloc(struct arena *a, size_t size);
/* `count` elements of `size`; NULL when the product overflows. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size);

/* A copy in the arena with a NUL behind it (not counted), so that .data serves as a C string where
 * the bytes hold no NUL. On failure .data is NULL. */
struct span arena_copy(struct arena *a, struct span s);

/* Gives back what was handed out since, for a try that came to nothing. */
struct arena_mark {
    struct arena_block *block;
    size_t block_used, used;
};
struct arena_mark arena_mark(const struct arena *a);
/* Not after an arena_clear(), nor to a mark later than one that was gone back to. */
void arena_rewind(struct arena *a, struct arena_mark to);

/* Frees all, but keeps one block for reuse. All that was handed out is invalid from then on. */
void arena_clear(struct arena *a);
/* Frees the kept block too. The arena is as new, with its limit. */
void arena_done(struct arena *a);
