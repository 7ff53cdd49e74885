/*
 * How many bytes a mailbox holds, counted cheaply, for a quota. It is the sum over new/ and cur/ of
 * the sizes in the file names (",S=1234", which Postbuch and other Maildir programs write), or of
 * the files themselves where a name has none. Folders that a reader made below the mailbox don't
 * count.
 *
 * Counted once; then deliveries are added, as long as its record lasts (record.h). It is counted
 * anew when ten minutes have passed, or when a message wouldn't fit and new/ or cur/ has changed
 * since: so nobody is refused on an old count, and a full mailbox under a flood of mail isn't read
 * again and again.
 *
 * Safe for use by many threads. What is on its way is reserved, so that they can't exceed the quota
 * together. It comes into new/ and into the count under one lock: whoever counts meanwhile sees it
 * in new/ or reserved, never both.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { MAILBOX_USAGE_AGE_MS = 10 * 60 * 1000 };

struct mailbox_usage {
    pthread_mutex_t lock;
    bool counted;
    uint64_t used, reserved;                  /* bytes */
    int64_t counted_ms;                       /* monotonic */
    struct timespec changed_new, changed_cur; /* mtimes before counting */
};

/* No counting yet: that is done by the first who reserves. */
void mailbox_usage_init(struct mailbox_usage *u);
void mailbox_usage_done(struct mailbox_usage *u);

/* Reserves `size` bytes in the mailbox at `base_fd`. 0; -EDQUOT when that would exceed `limit`,
 * with *out_used what is used and reserved; or why it can't be counted. */
int mailbox_usage_reserve(struct mailbox_usage *u, int base_fd, uint64_t size, uint64_t limit,
                          int64_t now_ms, uint64_t *out_used);
/* Ends a reservation: nothing came of it. */
void mailbox_usage_release(struct mailbox_usage *u, uint64_t reserved);

/* Nobody counts between the two: a file comes into new/, or is taken out of it again, together with
 * its bytes. */
void mailbox_usage_lock(struct mailbox_usage *u);
void mailbox_usage_unlock(struct mailbox_usage *u);
/* Under the lock: what was reserved is there now, with `stored` bytes. */
void mailbox_usage_add(struct mailbox_usage *u, uint64_t reserved, uint64_t stored);
/* Under the lock: what was added is gone. */
void mailbox_usage_remove(struct mailbox_usage *u, uint64_t stored);
