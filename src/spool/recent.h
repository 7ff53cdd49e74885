/*
 * The memory of extents: one is filled while its upload comes, written from there, and kept for a
 * while afterwards. So mail that is handed on at once is not read from the disk, which writing past
 * the page cache would cost, and memory that is at hand is used again.
 *
 * Each is of extent_bytes and aligned for a store that writes straight from it. Together they take
 * no more than `limit_bytes`, or what is being filled and written if that is more.
 *
 * recent_read() may be called from any thread; the others are the owner's.
 */
#pragma once

#include "base/list.h"
#include "base/span.h"
#include <pthread.h>

struct recent_extent {
    struct list link;
    uint64_t segment, offset; /* where it was written; numbers of segments never come again */
    uint32_t bytes;
    char *data;
};

struct recent {
    pthread_mutex_t lock;
    struct list kept; /* written ones, oldest first; under the lock */
    size_t total_bytes, limit_bytes, extent_bytes;
};

void recent_init(struct recent *recent, size_t extent_bytes, size_t limit_bytes);
/* None may be taken. */
void recent_done(struct recent *recent);

/* Memory for a new extent: a kept one's, or fresh. NULL: none. */
struct recent_extent *recent_take(struct recent *recent);
/* Gives memory back; what it holds is forgotten. NULL is fine. */
void recent_drop(struct recent *recent, struct recent_extent *extent);
/* Gives it back; its first `bytes` are on disk at this place, and found there until others come. */
void recent_keep(struct recent *recent, struct recent_extent *extent, uint64_t segment,
                 uint64_t offset, uint32_t bytes);

/* Copies an extent when it is still there: `bytes` to `to`. The caller compares its checksum, as
 * with what the disk gives. */
bool recent_read(struct recent *recent, uint64_t segment, uint64_t offset, uint32_t bytes,
                 char *to);
