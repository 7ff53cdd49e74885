/*
 * A binary heap of times, earliest first: 12 bytes an entry. Each element remembers its position,
 * so that it can be taken out from the middle.
 */
#pragma once

#include "base/span.h"

struct heap {
    int64_t *keys;
    uint32_t *handles;
    uint32_t count, capacity;
    void (*moved)(void *arg, uint32_t handle, uint32_t position);
    void *arg;
};

void heap_init(struct heap *heap, void (*moved)(void *arg, uint32_t handle, uint32_t position),
               void *arg);
/* Frees the memory; the heap is empty and may be used again. */
void heap_done(struct heap *heap);
/* Makes room for `count` entries, so that adding them can't fail. 0 or -ENOMEM. */
int heap_reserve(struct heap *heap, uint32_t count);
/* There must be room. */
void heap_add(struct heap *heap, int64_t key, uint32_t handle);
/* The entry at this position, as `moved` last told it. */
void heap_remove(struct heap *heap, uint32_t position);
