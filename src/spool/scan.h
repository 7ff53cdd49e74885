/*
 * Walks the records of a log segment in order and finds its way through damage: behind bytes that
 * are no record it looks for the next header that this segment's salt vouches for. Used by
 * recovery, the follower, compaction, footers and the scrubber.
 *
 * What can't be read from the disk (EIO), after some tries, is an error; or, with SCAN_AROUND, like
 * damage: its block counts as zeros.
 */
#pragma once

#include "spool/segment.h"

enum scan_flags {
    SCAN_DIRECT = 1, /* what the disk has, not the page cache */
    SCAN_DATA = 2,   /* read and verify the data too */
    SCAN_AROUND = 4, /* what can't be read counts as damaged: recovery has to go on */
};

struct scan {
    const struct store_ops *ops;
    struct store_segment *handle;
    struct record_place place;
    uint32_t block_bytes;
    int flags;       /* enum scan_flags */
    uint64_t offset; /* of the next record */
    uint64_t end;    /* never reads past this */
    struct buffer window;
    uint64_t window_offset;
    struct segment_range unread; /* with SCAN_AROUND: blocks that couldn't be read, and between */
    int error;                   /* the store's, or -ENOMEM */
};

struct scan_record {
    uint64_t offset, next; /* next: where the following record starts */
    struct record_header header;
    struct span meta;
    struct span data;     /* with SCAN_DATA */
    bool is_damaged;      /* no record at all from `offset` to `next` */
    bool meta_is_damaged; /* the header is good, the meta isn't */
    bool data_is_damaged; /* with SCAN_DATA */
    bool is_unread;       /* it may be whole: a part of it couldn't be read */
};

/* `ops` and `handle` are borrowed until scan_done(), the window is the scan's. `start` is a
 * multiple of 8 where a record may begin. */
void scan_init(struct scan *scan, const struct store_ops *ops, struct store_segment *handle,
               const struct record_place *place, uint32_t block_bytes, uint64_t start, uint64_t end,
               int flags);
void scan_done(struct scan *scan);

/* 1: *out, whose spans live until the next call. 0: no further record before the end. <0: -ENOMEM,
 * -EPROTONOSUPPORT, or the store's error. */
int scan_next(struct scan *scan, struct scan_record *out);
