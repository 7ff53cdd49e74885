/*
 * The store: where a lane's segments lie. Every byte that the spool writes or reads goes through
 * this table, so that `file` can be exchanged for `sim` (a disk that forgets, tears and fails) and
 * later for others, like objects in a cluster.
 *
 * Every operation may block and may be called from any thread, but two operations on one segment
 * never run at the same time except reads. All return 0 (or a count) or -errno; a failed operation
 * leaves its outputs untouched. After a failed write or sync nobody may sync that segment again
 * (rule 6); the store doesn't enforce that, the mutants in tests/crash show that it matters.
 */
#pragma once

#include "base/span.h"
#include <sys/types.h>
#include <sys/uio.h>

enum store_kind { STORE_LOG, STORE_BULK };

struct store;
struct store_segment;

struct store_entry {
    enum store_kind kind;
    uint64_t number; /* unique in its lane and kind, only ever grows */
    uint64_t size_bytes;
};

enum store_read_flags {
    STORE_READ_DIRECT = 1 /* what the disk has, not the page cache (O_DIRECT) */
};

struct store_space {
    uint64_t free_bytes, free_inodes;
};

struct store_ops {
    /* Takes the lane's lease, exclusively unless read_only. -EWOULDBLOCK: another has it. What the
     * lane's owner finds from then on is there for good: its names are synced first. */
    int (*open_lane)(struct store *store, bool read_only);
    /* Does anybody have the lease now? 1, 0 or -errno. Only looks. */
    int (*is_leased)(struct store *store);
    /* Calls `found` for each segment, in any order, before it returns. *entry is borrowed. */
    int (*list)(struct store *store, void (*found)(void *arg, const struct store_entry *entry),
                void *arg);
    /* A new segment, zero-filled with written blocks, durable with its name before it returns. The
     * handle is the caller's, who ends it by close_segment, remove or set_aside. -EEXIST: there is
     * one of this number; -ENOSPC, -EDQUOT: nothing is left of it. */
    int (*create_segment)(struct store *store, enum store_kind kind, uint64_t number,
                          uint64_t size_bytes, struct store_segment **out);
    /* The handle likewise. -ENOENT. */
    int (*open_segment)(struct store *store, enum store_kind kind, uint64_t number, bool read_only,
                        struct store_segment **out);
    /* Writes all of `parts` at `offset`, or fails; a failure may have written a part. Bulk goes to
     * the disk straight from memory when offset, addresses and sizes are multiples of 4096. */
    int (*write)(struct store_segment *segment, uint64_t offset, const struct iovec *parts,
                 int count);
    /* Makes all that was written durable (fdatasync). After an error nobody knows what is. */
    int (*sync)(struct store_segment *segment);
    /* Bytes read: fewer than `size` only at the segment's end. `flags`: enum store_read_flags. */
    ssize_t (*read)(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                    int flags);
    /* Gives a segment that nobody needs any more a new number (rename, directory sync). The handle
     * stays usable under the new number; its bytes stay as they were. After an error the file may
     * have either name: try again, with another number. */
    int (*recycle)(struct store_segment *segment, uint64_t new_number);
    /* Deletes it for good, durable; the handle is freed in any case. */
    int (*remove)(struct store_segment *segment);
    /* Puts a segment's file aside under `reason`, never to be listed again (damage). Frees the
     * handle. What was put aside before stays. */
    int (*set_aside)(struct store_segment *segment, const char *reason);
    /* Nothing is synced by it. */
    void (*close_segment)(struct store_segment *segment);

    /* Small named files beside the segments (checkpoints): written to a temporary name, synced,
     * renamed, directory synced; so a reader sees all of the old or all of the new. Somebody's
     * folder of such a name is put aside. */
    int (*put_file)(struct store *store, const char *name, const struct iovec *parts, int count);
    /* The whole file in malloc'ed memory for the caller to free. -ENOENT; -EFBIG: larger than
     * `max_bytes`. */
    int (*get_file)(struct store *store, const char *name, uint64_t max_bytes, void **out_data,
                    size_t *out_size);
    /* Durable when it returns. -ENOENT. */
    int (*remove_file)(struct store *store, const char *name);
    /* All whose names begin with `prefix`, except with `but` (NULL: all); durable likewise. After
     * an error some may be gone. */
    int (*remove_files)(struct store *store, const char *prefix, const char *but);

    /* What an unprivileged user may still take; UINT64_MAX inodes where nobody counts them. */
    int (*space)(struct store *store, struct store_space *out);
    /* Gives the lease back and frees the store. Its segments must be closed. */
    void (*close)(struct store *store);
};

struct store {
    const struct store_ops *ops;
};

/* The `file` store: a folder a lane. `folder_fd` is owned by the store from here on; on -ENOMEM it
 * is still the caller's. */
int store_file_new(int folder_fd, struct store **out);

/* A look at `inner` that can't change it: opens the lane and its segments read-only, and answers
 * what a start would change (set aside, tidied, prepared) as if it had been done. spool_open() on
 * it recovers in memory what the next start will find: to be read and listed, never appended to.
 * Owns `inner`, also when it fails. Whether its owner lives is the caller's question (is_leased).
 */
int store_readonly_new(struct store *inner, struct store **out);
