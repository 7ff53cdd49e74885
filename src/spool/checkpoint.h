/*
 * A checkpoint: the queue's state as files, so that only newer segments are read at start. Parts
 * hold the rows, the manifest names the parts and the position from which the log is replayed over
 * them. docs/formats/spool.md has the bytes.
 *
 * It is fuzzy: rows are collected in slices while mail flows, so a row may be newer than the
 * position. Replay from there is idempotent and ends in the same state (rule 3). A checkpoint only
 * repeats what the records say: one that is damaged or contradicts them is as good as none.
 */
#pragma once

#include "spool/lane.h"

/* NOTIFIED: a bit beside the state of a recipient. A newer format is no checkpoint to
 * us, and rebuilt. */
enum {
    CHECKPOINT_NOTIFIED = 4,
    CHECKPOINT_FORMAT = 2,
    CHECKPOINT_NAME_BYTES = 64,
    CHECKPOINT_MANIFEST_MAX = 64 << 20, /* bytes */
    CHECKPOINT_PART_ROWS_MAX = 1 << 20
};

struct checkpoint_concern {
    uint64_t segment;
};

/* What a log segment's outcomes concern (rule 5b): the records that say so may
 * lie before `position`. */
struct checkpoint_segment {
    uint64_t number;
    uint8_t concerns_all;
    struct checkpoint_concern *concerns;
    size_t concern_count;
};

/* A part's size and checksum, so that a part of another checkpoint can't pass for it. */
struct checkpoint_part {
    uint64_t bytes, sum;
};

struct checkpoint_manifest {
    uint8_t lane[SEGMENT_LANE_BYTES];
    uint64_t generation;
    struct spool_position position; /* replay from here */
    struct spool_position last_seal;
    uint64_t last_sum;
    struct checkpoint_segment *segments;
    size_t segment_count;
    struct checkpoint_part *parts;
    size_t part_count;
};

struct checkpoint_recipient {
    uint32_t index, domain; /* domain: in the part's own list */
    uint16_t attempts;
    uint8_t state; /* enum spool_recipient_state, and CHECKPOINT_NOTIFIED */
    int64_t next_attempt_us;
};

struct checkpoint_use {
    uint64_t segment, bytes;
};

/* A message of the index, with the recipients that wait; its segments by number, 0: none. */
struct checkpoint_row {
    struct id id;
    uint16_t flags;
    uint64_t home;
    uint32_t offset, meta_bytes;
    uint64_t size_bytes;
    int64_t accepted_us;
    uint32_t sender;
    struct checkpoint_recipient *recipients;
    size_t recipient_count;
    struct checkpoint_use *uses;
    size_t use_count;
};

struct checkpoint_name {
    struct span name;
};

struct checkpoint_names {
    struct checkpoint_name *list;
    size_t count;
};

struct checkpoint_rows {
    struct checkpoint_row *list;
    size_t count;
};

extern const struct codec checkpoint_manifest_codec, checkpoint_row_codec, checkpoint_names_codec,
    checkpoint_rows_codec;

extern const char checkpoint_manifest_name[];
/* What the names of all parts begin with, and those of one generation. */
#define CHECKPOINT_PARTS "checkpoint-"
void checkpoint_parts_prefix(char out[static CHECKPOINT_NAME_BYTES], uint64_t generation);
void checkpoint_part_name(char out[static CHECKPOINT_NAME_BYTES], uint64_t generation, size_t part);

/* Parts of other generations than this one's, as far as it can. */
void checkpoint_remove_others(struct store *store, uint64_t generation);

/* The manifest's file: magic, u32 format, fields, u64 checksum. 0 or the buffer's error; of
 * decoding 0, -EBADMSG, -ENOMEM. */
int checkpoint_encode_manifest(const struct checkpoint_manifest *manifest, struct buffer *out);
int checkpoint_decode_manifest(struct span bytes, struct arena *arena,
                               struct checkpoint_manifest *out);
/* A part's file: u32 length of the names, names, rows. 0, -EBADMSG, -ENOMEM; what comes out lies
 * in `arena` and in `bytes`. */
int checkpoint_decode_part(struct span bytes, struct arena *arena,
                           struct checkpoint_names *out_names, struct checkpoint_rows *out_rows);

/* What all its parts take on disk. */
uint64_t checkpoint_bytes(const struct checkpoint_manifest *manifest);

/* For recovery, when the segments and their ends are known. 0: the state as of *out_position is
 * loaded. -ENOENT: there is none, or none that can be used; the state is empty. -ENOMEM. */
int checkpoint_load(struct spool *spool, struct spool_position *out_position);
