/*
 * Up to where each lane of the log was folded, by the main file. It says so twice: rows of the
 * table `lane`, and copies with a check value, so that a damaged byte is noticed and mended.
 * Without that a position too large would pass over events that the book doesn't have.
 *
 * Pure: main_file.c reads and writes the rows (docs/formats/book.md).
 */
#pragma once

#include "book/input.h"
#include "book/volume.h"

struct position_rows {
    struct {
        struct book_position at;
        bool is_sound; /* as far as the row itself tells */
    } list[VOLUME_LANES_MAX];
    size_t count;
};

struct positions {
    struct book_position list[VOLUME_LANES_MAX];
    size_t count;
    bool was_damaged; /* a row, which is left out or mended here */
    bool is_new;      /* of this the file doesn't say all, or says it otherwise */
};

/* The check value of a copy. */
uint64_t positions_sum(const struct book_position *at);
/* 0, or -ENOSPC: `rows` is full. `lane` is as it was read; one that can't be isn't sound. */
int positions_add_row(struct position_rows *rows, int64_t lane, struct book_position at,
                      bool is_sound);
/* What both together say. Without any copy the rows are believed: an older Postbuch wrote them. */
void positions_settle(const struct position_rows *lanes, const struct position_rows *copies,
                      struct positions *out);
/* NULL: there is none of that lane. */
const struct book_position *positions_find(const struct positions *positions, uint32_t lane);
/* The same of the same lanes, in whatever order: a row that was mended may come last. */
bool positions_equal(const struct positions *a, const struct positions *b);
