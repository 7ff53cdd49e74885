/*
 * A mailbox's folder, open: its base and the tmp/ and new/ in it. Missing ones are made, each with
 * mode 0700 and its parent synced afterwards. No symbolic link below the prefix is ever followed:
 * the way down is walked one component at a time with O_NOFOLLOW, on every kernel, so that neither
 * a user of the machine nor a hostile address can lead mail elsewhere.
 *
 * A folder that was found, not made, isn't synced into its parent again: file systems with a
 * journal write what happened in order, so a later synced message implies the folder's making.
 */
#pragma once

#include "base/list.h"
#include "proc/mailbox/outcome.h"
#include "proc/mailbox/record.h"

struct mailbox_folder {
    struct list link; /* the cache's */
    unsigned references;
    struct mailbox_record *record; /* its own until the cache adopts it, then shared */
    char *full;                    /* for people */
    int base_fd, tmp_fd, new_fd;
    int64_t opened_ms; /* monotonic: when it was last seen to be what its path names */
};

/* 0 with the folder in *out; -errno with the outcome set. `path` is copied, `root` must stay. Waits
 * for the disk. */
int mailbox_folder_open(const struct mailbox_root *root, const char *path,
                        struct mailbox_outcome *outcome, struct mailbox_folder **out);
/* Whether both are the same folder on the disk, with the same tmp/ and new/. Doesn't ask the disk.
 */
bool mailbox_folder_same(const struct mailbox_folder *a, const struct mailbox_folder *b);
/* With its record, unless that is NULL. Nobody may use it any more. NULL is fine. */
void mailbox_folder_free(struct mailbox_folder *folder);

enum { MAILBOX_SWEEP_AGE_S = 36 * 3600, MAILBOX_SWEEP_FILES_MAX = 10000 };

/* Removes what crashed deliveries left in tmp/ 36 hours ago or more (maildir(5)); looks at no more
 * than MAILBOX_SWEEP_FILES_MAX names. How many it removed. */
unsigned mailbox_folder_sweep(struct mailbox_folder *folder, int64_t now_s);
