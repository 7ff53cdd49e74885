/* A position in a row: in the ledger's tables lane, segment and offset are columns side by side. */
#pragma once

#include "book/input.h"
#include <sqlite3.h>

/* `first`: the lane's number among what is bound, or among the columns. */
static inline void position_bind(sqlite3_stmt *s, int first, const struct book_position *at)
{
    sqlite3_bind_int64(s, first, at->lane);
    sqlite3_bind_int64(s, first + 1, (sqlite3_int64)at->segment);
    sqlite3_bind_int64(s, first + 2, (sqlite3_int64)at->offset);
}

static inline struct book_position position_column(sqlite3_stmt *s, int first)
{
    return (struct book_position){.lane = (uint32_t)sqlite3_column_int64(s, first),
                                  .segment = (uint64_t)sqlite3_column_int64(s, first + 1),
                                  .offset = (uint64_t)sqlite3_column_int64(s, first + 2)};
}
