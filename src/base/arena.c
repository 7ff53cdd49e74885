/*
 * Blocks in a list, the newest in front; an allocation comes from the front block or opens a new
 * one. What a block has left when the next is opened is lost until arena_clear(): that costs less
 * than looking for room, since lifetimes are short.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

/* The least size of a block: a session's command and its reply fit into one. */
enum { ARENA_BLOCK_BYTES = 2048 };

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

static struct arena_block *block_new(size_t size)
{
    if (size < ARENA_BLOCK_BYTES)
        size = ARENA_BLOCK_BYTES;
    struct arena_block *block = malloc(sizeof(*block) + size);
    if (block)
        *block = (struct arena_block){.size = size};
    return block;
}

/* Uninitialized memory. Sizes are rounded up to the alignment before they are held against
 * the limit, so that many small allocations can't pass it; SIZE_MAX / 2 keeps that
 * rounding from wrapping. */
static void *take(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_block *block = a->blocks;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) / align * align;
    if (a->limit && size > a->limit - a->used)
        return NULL;
    if (!block || size > block->size - block->used) {
        block = block_new(size);
        if (!block)
            return NULL;
        block->next = a->blocks;
        a->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += size;
    a->used += size;
    return memory;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *memory = take(a, size);
    return memory ? memset(memory, 0, size) : NULL;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    return arena_alloc(a, count * size);
}

struct span arena_copy(struct arena *a, struct span s)
{
    char *copy = s.size < SIZE_MAX ? take(a, s.size + 1) : NULL;
    if (copy && s.size)
        memcpy(copy, s.data, s.size);
    if (copy)
        copy[s.size] = '\0';
    return span_of(copy, copy ? s.size : 0);
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->blocks, a->blocks ? a->blocks->used : 0, a->used};
}

void arena_rewind(struct arena *a, struct arena_mark to)
{
    while (a->blocks != to.block) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    if (a->blocks)
        a->blocks->used = to.block_used;
    a->used = to.used;
}

void arena_clear(struct arena *a)
{
    /* The oldest block stays: in most lifetimes it is the only one, so a session that serves many
     * messages asks malloc() for nothing. */
    struct arena_block *keep = a->blocks;

    if (!keep)
        return;
    while (keep->next) {
        struct arena_block *next = keep->next;
        free(keep);
        keep = next;
    }
    keep->used = 0;
    a->blocks = keep;
    a->used = 0;
}

void arena_done(struct arena *a)
{
    arena_clear(a);
    free(a->blocks);
    a->blocks = NULL;
    a->used = 0;
}
