/*
 * Arrays that get one element after the other at their end. Room is doubled, so that copying costs
 * the same for each element however many come.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/* The array with room for one more than `count`; it may have moved. `first`: elements of the first
 * allocation. NULL without memory: then array and *room are as before. */
static inline void *grow_by_one(void *array, size_t count, size_t *room, size_t element_bytes,
                                size_t first)
{
    if (count < *room)
        return array;
    size_t more = *room ? *room * 2 : first;
    void *moved = reallocarray(array, more, element_bytes);
    if (moved)
        *room = more;
    return moved;
}
