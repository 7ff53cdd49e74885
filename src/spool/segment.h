/*
 * A segment: its header on disk, and what the running spool knows of it. docs/formats/spool.md has
 * the bytes.
 *
 *   log segment = header block, its copy, groups …, trailer block (when closed)
 *   bulk segment = extents; no header: the log's piece lists say what lies where and its checksum
 *
 *   SPARE ──first group──▶ OPEN ──next one opened──▶ CLOSED ──nothing needs it──▶ SPARE or removed
 *                           │                          │
 *                           └──a write or sync failed──┴──▶ FAILED ──evacuated──▶ removed
 *
 * A log segment's header is written with its first group, so it can name its predecessor's end:
 * what lies behind that was never acknowledged and never counts, whatever the disk shows later.
 */
#pragma once

#include "base/list.h"
#include "spool/record.h"
#include "spool/store.h"

enum { SEGMENT_FORMAT = 1, SEGMENT_LANE_BYTES = 16, SEGMENT_SALT_BYTES = 16 };

struct segment_header {
    uint32_t block_bytes;
    uint64_t number, size_bytes;
    uint8_t lane[SEGMENT_LANE_BYTES];
    uint8_t salt[SEGMENT_SALT_BYTES];
    int64_t created_us;
    struct spool_position previous_end;  /* of the segment before; {0, 0} for the first */
    struct spool_position previous_seal; /* the last seal record before this segment … */
    uint64_t previous_sum;               /* … and its header's checksum */
    uint64_t previous_sequence;
};

/* In the last block of a closed log segment: where its groups end, and where its footer lies (the
 * records without their data, for a quick recovery). */
struct segment_trailer {
    uint64_t number;
    uint8_t salt[SEGMENT_SALT_BYTES];
    uint64_t end;
    uint64_t footer_offset, footer_bytes; /* 0, 0: none */
    uint64_t footer_sum;
};

enum { SEGMENT_HEADER_BYTES = 128, SEGMENT_TRAILER_BYTES = 76 };

/* Writes exactly the bytes named above. */
void segment_encode_header(const struct segment_header *header,
                           char out[static SEGMENT_HEADER_BYTES]);
/* -EBADMSG: none; -EPROTONOSUPPORT: of a newer format. */
int segment_decode_header(struct span bytes, struct segment_header *out);
void segment_encode_trailer(const struct segment_trailer *trailer,
                            char out[static SEGMENT_TRAILER_BYTES]);
int segment_decode_trailer(struct span bytes, struct segment_trailer *out);

enum segment_state {
    SEGMENT_SPARE,
    SEGMENT_OPEN,
    SEGMENT_CLOSED,
    SEGMENT_FAILED,
};

struct segment {
    struct list link; /* in its kind's list, by number */
    struct store_segment *handle;
    uint64_t number, size_bytes;
    enum store_kind kind;
    enum segment_state state;
    uint8_t salt[SEGMENT_SALT_BYTES];
    uint64_t end;           /* log: of the last sealed group; bulk: of what is allocated */
    uint64_t live_bytes;    /* of messages that wait: records, or extents */
    uint32_t live_messages; /* log: whose home it is; bulk: that have extents here */
    uint32_t pins;          /* readers, tasks, groups and uploads that use it now */
    uint64_t *concerns;     /* log: other segments with MESSAGE records that it has outcomes for */
    uint32_t concern_count, concern_capacity;
    bool concerns_all;  /* as if it named every older segment */
    bool has_trailer;   /* its end is on disk in itself */
    bool is_compacting; /* a task is emptying or recycling it */
    bool was_compacted; /* what is left in it can't be moved */
    int64_t scrubbed_us;
};

static inline struct record_place segment_place(const struct segment *segment)
{
    struct record_place place = {.segment = segment->number};
    memcpy(place.salt, segment->salt, sizeof(place.salt));
    return place;
}

/* Where the first group of a log segment starts. */
static inline uint64_t segment_first_offset(uint32_t block_bytes)
{
    return 2 * (uint64_t)block_bytes;
}

static inline uint64_t segment_align(uint64_t offset, uint32_t block_bytes)
{
    return (offset + block_bytes - 1) / block_bytes * block_bytes;
}

/* Rule 5b: `segment` holds an outcome for a MESSAGE record in `other`. Without memory to note it
 * the segment counts as concerning every older one. */
void segment_add_concern(struct segment *segment, uint64_t other);

struct segment *segment_new(enum store_kind kind, uint64_t number, uint64_t size_bytes);
/* Closes the handle, frees the struct. NULL is fine. */
void segment_free(struct segment *segment, const struct store_ops *ops);

/* The store's read, tried again a few times after EIO: a disk that stumbles is no damage. */
ssize_t segment_read(const struct store_ops *ops, struct store_segment *handle, uint64_t offset,
                     void *buf, size_t size, int flags);

/* Reads and checks the header, then its copy. -EBADMSG: neither is one; -ESTALE: it is that of a
 * later number, so this file has got the name of another one; -EPROTONOSUPPORT; the
 * store's errors when neither can be read. `out_is_blank` (with -EBADMSG): all zero, or a header of
 * an earlier life, which is then in `out`: never used under this number. */
int segment_read_header(const struct store_ops *ops, struct store_segment *handle, uint64_t number,
                        uint32_t block_bytes, int flags, struct segment_header *out,
                        bool *out_is_blank);
/* Does it end as a closed segment of this number does, whatever its header says? */
bool segment_was_closed(const struct store_ops *ops, struct store_segment *handle,
                        uint64_t size_bytes, uint32_t block_bytes, uint64_t number, int flags);
int segment_read_trailer(const struct store_ops *ops, struct store_segment *handle,
                         uint64_t size_bytes, uint32_t block_bytes,
                         const struct segment_header *header, int flags,
                         struct segment_trailer *out);
