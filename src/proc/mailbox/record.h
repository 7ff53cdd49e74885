/*
 * What is known of a mailbox beyond the time that its folder is open: how full it is, and when its
 * tmp/ was swept. Open folders are few, for each has three descriptors; with more mailboxes than
 * that in turn each delivery would else count the whole mailbox anew.
 *
 * The records are the cache's, under its lock; a record's usage has a lock of its own and may be
 * used by whoever holds a reference. The longest unused ones are forgotten beyond
 * MAILBOX_RECORDS_MAX.
 */
#pragma once

#include "base/numbers.h"
#include "proc/mailbox/root.h"
#include "proc/mailbox/usage.h"

/* Some 300 bytes each. */
enum { MAILBOX_RECORDS_MAX = 16384 };

/* Which folders on the disk a mailbox is: its base, tmp/ and new/. */
struct mailbox_identity {
    struct {
        uint64_t device, inode;
    } parts[3];
};

struct mailbox_record {
    struct list link;    /* in records->recent, unless another has its place now */
    struct list by_hash; /* likewise */
    unsigned references;
    const struct mailbox_root *root;
    char *path; /* below the root */
    uint64_t hash;
    struct mailbox_identity identity;
    struct mailbox_usage usage;
    int64_t swept_ms; /* monotonic, 0: never */
};

struct mailbox_records {
    struct list recent; /* most recently used first */
    struct numbers by_hash;
    size_t count, max;
};

/* Without a reference, and in no records; the identity is its maker's to set. NULL without memory.
 * `path` is copied, `root` must stay. */
struct mailbox_record *mailbox_record_new(const struct mailbox_root *root, const char *path);
/* One that is in no records. NULL is fine. */
void mailbox_record_free(struct mailbox_record *record);
bool mailbox_record_is_same(const struct mailbox_record *a, const struct mailbox_record *b);

void mailbox_records_init(struct mailbox_records *records, size_t max);
/* No reference may be left. */
void mailbox_records_done(struct mailbox_records *records);

/* The known record of this mailbox, when it is the same on the disk (then `fresh` is freed), or
 * `fresh`, known from now on. With a reference, for mailbox_records_release(). */
struct mailbox_record *mailbox_records_adopt(struct mailbox_records *records,
                                             struct mailbox_record *fresh);
void mailbox_records_release(struct mailbox_records *records, struct mailbox_record *record);
