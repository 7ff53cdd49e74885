/*
 * How far the chain of each lane is in a week's file, read without changing it: for retention, and
 * to find out whether a file lacks what the main file knows of it. Errors as in db.h; -ENODATA: the
 * file has no tables.
 */
#pragma once

#include "book/ledger.h"
#include "book/main_file.h"
#include "book/volume.h"

struct week_heads {
    struct main_file_head list[VOLUME_LANES_MAX];
    size_t count;
    bool waits; /* one of its entries waits */
};

/* Opens the file only to read. *out is whole after 0. */
int week_heads_read(const char *folder, const struct ledger_file *file, struct week_heads *out);
/* Is the position another than `noted`, although the chain is just where it was then? */
bool week_heads_displaced(const struct week_heads *heads, const struct main_file_head *noted,
                          struct book_position *out_at);
/* Is the chain at least where it was `noted` to be? */
bool week_heads_reach(const struct week_heads *heads, const struct main_file_head *noted);
