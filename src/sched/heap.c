/*
 * Keys and handles in two arrays: sifting compares keys only, which lie together. Whoever is moved
 * is told its new position by `moved`, so removing from the middle needs no search.
 */
#include "sched/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void heap_init(struct heap *heap, void (*moved)(void *arg, uint32_t handle, uint32_t position),
               void *arg)
{
    *heap = (struct heap){.moved = moved, .arg = arg};
}

void heap_done(struct heap *heap)
{
    free(heap->keys);
    free(heap->handles);
    heap_init(heap, heap->moved, heap->arg);
}

int heap_reserve(struct heap *heap, uint32_t count)
{
    uint32_t capacity = heap->capacity ? heap->capacity : 256;

    if (count <= heap->capacity)
        return 0;
    while (capacity < count)
        capacity = capacity > UINT32_MAX / 2 ? count : capacity * 2;
    int64_t *keys = realloc(heap->keys, capacity * sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    heap->keys = keys;
    uint32_t *handles = realloc(heap->handles, capacity * sizeof(*handles));
    if (!handles)
        return -ENOMEM;
    heap->handles = handles;
    heap->capacity = capacity;
    return 0;
}

static void put(struct heap *heap, uint32_t position, int64_t key, uint32_t handle)
{
    heap->keys[position] = key;
    heap->handles[position] = handle;
    heap->moved(heap->arg, handle, position);
}

static void sift_up(struct heap *heap, uint32_t position, int64_t key, uint32_t handle)
{
    while (position > 0) {
        uint32_t parent = (position - 1) / 2;
        if (heap->keys[parent] <= key)
            break;
        put(heap, position, heap->keys[parent], heap->handles[parent]);
        position = parent;
    }
    put(heap, position, key, handle);
}

static void sift_down(struct heap *heap, uint32_t position, int64_t key, uint32_t handle)
{
    for (;;) {
        uint32_t child = 2 * position + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->keys[child + 1] < heap->keys[child])
            child++;
        if (heap->keys[child] >= key)
            break;
        put(heap, position, heap->keys[child], heap->handles[child]);
        position = child;
    }
    put(heap, position, key, handle);
}

void heap_add(struct heap *heap, int64_t key, uint32_t handle)
{
    assert(heap->count < heap->capacity);
    heap->count++;
    sift_up(heap, heap->count - 1, key, handle);
}

/* The last entry takes the free place, and may have to go either way from there: it comes from
 * another branch. */
void heap_remove(struct heap *heap, uint32_t position)
{
    assert(position < heap->count);
    uint32_t last = --heap->count;
    if (position == last)
        return;
    int64_t key = heap->keys[last];
    uint32_t handle = heap->handles[last];
    if (position > 0 && heap->keys[(position - 1) / 2] > key)
        sift_up(heap, position, key, handle);
    else
        sift_down(heap, position, key, handle);
}
