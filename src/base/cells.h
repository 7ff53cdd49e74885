/*
 * Cells: equal pieces of memory of which there may be a million, without malloc's 8 to 24 bytes
 * beside each. A cell never moves; freed ones are used again and go back to the system with the
 * last. Built with the address sanitizer each is a piece of malloc's, so that it sees misuse.
 */
#pragma once

#include <stddef.h>

struct cells_chunk;

struct cells {
    size_t size; /* of one; a multiple of 8; set before the first use */
    struct cells_chunk *chunks;
    void *free;   /* a list through the cells' first bytes */
    size_t fresh; /* cells of the newest chunk that were never used */
    size_t count; /* in use */
};

/* A zeroed cell, or NULL when there is no memory. */
void *cells_alloc(struct cells *cells);
/* NULL is fine. The last one frees all memory. */
void cells_free(struct cells *cells, void *cell);
