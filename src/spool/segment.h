/*
 * A segment: its header on disk, and what the running spool knows of it. docs/formats/spool.md has
 * the bytes.
 *
 *   log segment = header block, its copy, groups …, trailer block (when closed)
 *   bulk segment = extents; no header: the log's piece lists say what lies where and its checksum
 *
 *             its first group is sealed,                        nothing needs it:
 *             or it gives an extent its place                   it gets a new number
 *   SPARE ──────────────────────────────▶ OPEN ──────▶ CLOSED ───────────────────────▶ SPARE, or
 *     │                                    │             │                            removed
 *     │ its first group failed             │ a write     │ its footer failed, or a
 *     ▼                                    ▼ failed      ▼ write that was under way
 *   FAILED ◀───────────────────────────────┴─────────────┘
 *     └──nothing needs it any more (compaction moves what lives in it)──▶ removed
 *
 * OPEN becomes CLOSED when the next one takes over; a log segment also when the first group of that
 * one failed, for its header may be on the disk and say where this one ended (rule 6). At the start
 * bulk segments and log segments with a header are CLOSED, one whose file has lost its end FAILED;
 * a log segment that the chain passes over is SPARE again, but of too low a number to be used under
 * it.
 *
 * A log segment's header is written with its first group, so it can name its predecessor's end:
 * what lies behind that was never acknowledged and never counts, whatever the disk shows later.
 */
#pragma once

#include "base/list.h"
#include "spool/record.h"
#include "spool/store.h"

/* No higher one is ever given, and what bears one is nobody's (spool_take_number(), recovery.c). */
#define SEGMENT_NUMBER_MAX (UINT64_MAX / 2)
/* Numbers grow by one. What lies further than this beyond the newest that is known to be ours was
 * named by somebody else: ours don't go on behind it. */
#define SEGMENT_NUMBER_LEAP ((uint64_t)1 << 32)

enum { SEGMENT_FORMAT = 1, SEGMENT_LANE_BYTES = 16, SEGMENT_SALT_BYTES = 16 };

struct segment_header {
    uint32_t block_bytes;
    uint64_t number, size_bytes;
    uint8_t lane[SEGMENT_LANE_BYTES];
    uint8_t salt[SEGMENT_SALT_BYTES];
    int64_t created_us;                  /* when its first group was taken */
    struct spool_position previous_end;  /* of the segment before; {0, 0} for the first */
    struct spool_position previous_seal; /* the last seal record before this segment … */
    uint64_t previous_sum;               /* … and its header's checksum */
    uint64_t previous_sequence;          /* … and its number, from which this segment's go on */
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
    SEGMENT_FAILED, /* never written or synced again */
    SEGMENT_STATE_COUNT,
};

struct segment {
    struct list link; /* in its kind's list, by number */
    struct store_segment *handle;
    uint64_t number, size_bytes;
    enum store_kind kind;
    enum segment_state state; /* segment_set_state() */
    uint8_t salt[SEGMENT_SALT_BYTES];
    uint64_t end;           /* log: of the last sealed group; bulk: of what is allocated */
    uint64_t live_bytes;    /* of messages that wait: records, or extents */
    uint32_t live_messages; /* log: whose home it is; bulk: that have extents here */
    uint32_t pins;          /* readers, tasks, groups and uploads that use it now */
    uint64_t *concerns;     /* log: other segments with MESSAGE records that it has outcomes for */
    uint32_t concern_count, concern_capacity;
    bool concerns_all;   /* as if it named every older segment */
    bool has_trailer;    /* its end is on disk in itself */
    bool is_compacting;  /* a task is emptying or recycling it */
    bool was_compacted;  /* what is left in it can't be moved … */
    struct id stuck_on;  /* … as long as this message is there; zero: that may change any time */
    uint8_t unworthy;    /* so often in a row emptying it would have written too much … */
    uint8_t pause;       /* … and for so many checkpoints it isn't looked at */
    bool keeps_tail;     /* the bytes behind its end are nowhere else: no footer, for now */
    bool is_told;        /* that compaction found damage in it */
    int64_t scrubbed_us; /* when it was last read for damage; 0: not yet seen by the scrubber */
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

/* The only one that changes it; asserts that the picture above has the arrow. */
void segment_set_state(struct segment *segment, enum segment_state state);

/* SPARE, empty, in no list and without a handle: the caller gives it both. NULL: no memory. */
struct segment *segment_new(enum store_kind kind, uint64_t number, uint64_t size_bytes);
/* Makes its file, which gives it its handle. 0, -EOVERFLOW when it has no number
 * (spool_take_number()), or the store's errors. Any thread. */
int segment_create(const struct store_ops *ops, struct store *store, struct segment *segment);
/* Takes it out of its list. Nothing may be pinned, and no message refer to it.
 * Closes the handle, frees the struct. NULL is fine. */
void segment_free(struct segment *segment, const struct store_ops *ops);

/* The store's read, tried again a few times after EIO: a disk that stumbles is no damage. Blocks;
 * from any thread. Bytes read, fewer than `size` only at the segment's end, or -errno. */
ssize_t segment_read(const struct store_ops *ops, struct store_segment *handle, uint64_t offset,
                     void *buf, size_t size, int flags);

/* Bytes [from, to) of a segment; from = to: none. */
struct segment_range {
    uint64_t from, to;
};

/* The same of a range that can't be read as a whole, block by block; what can't be read is zero.
 * `unread` grows by it, with what lies between. */
void segment_read_around(const struct store_ops *ops, struct store_segment *handle,
                         uint32_t block_bytes, uint64_t offset, char *buf, size_t size, int flags,
                         struct segment_range *unread);

/* Reads and checks the header, then its copy. -EBADMSG: neither is one; -ESTALE: it is that of a
 * later number, which is then in `out`, so this file has got the name of another one;
 * -EPROTONOSUPPORT; the store's errors when neither can be read. `out_is_blank` (with -EBADMSG):
 * all zero, or a header of an earlier life, which is then in `out`: never used under this number.
 */
int segment_read_header(const struct store_ops *ops, struct store_segment *handle, uint64_t number,
                        uint32_t block_bytes, int flags, struct segment_header *out,
                        bool *out_is_blank);
/* For a segment whose header blocks look blank: one that was closed had a header, so it is damaged
 * and not free. Does it end as a closed segment of this number does, whatever its header says? */
bool segment_was_closed(const struct store_ops *ops, struct store_segment *handle,
                        uint64_t size_bytes, uint32_t block_bytes, uint64_t number, int flags);
/* 0: *out, which belongs to this header (number and salt) and names offsets within the segment.
 * -EBADMSG: none, so it wasn't closed, or the trailer is damaged; -EPROTONOSUPPORT; the store's. */
int segment_read_trailer(const struct store_ops *ops, struct store_segment *handle,
                         uint64_t size_bytes, uint32_t block_bytes,
                         const struct segment_header *header, int flags,
                         struct segment_trailer *out);
