/*
 * Open mailbox folders, shared by the delivering threads, the least recently used one closed when
 * there are too many. Those in use stay, so that a batch into many mailboxes syncs each only once.
 * A folder is looked up by its path again when a second has passed, from the root's own path on, so
 * that mail doesn't go on into one that was moved away, deleted or mounted over.
 */
#pragma once

#include "proc/mailbox/folder.h"
#include <pthread.h>
#include <stdatomic.h>

/* How long a folder is taken for what its path names, and how often tmp/ is swept of what crashed
 * deliveries left: both ms. */
enum { MAILBOX_CACHE_TRUST_MS = 1000, MAILBOX_CACHE_SWEEP_MS = 3600 * 1000 };

struct mailbox_cache {
    pthread_mutex_t lock;
    struct list folders; /* most recently used first */
    unsigned count, max;
    struct mailbox_records records;
    atomic_bool outdated; /* a root isn't what its path names any more: only a new process has it */
    atomic_bool stuck;    /* a disk hangs: there can be no new process now. The owner's to set */
};

void mailbox_cache_init(struct mailbox_cache *cache, unsigned max);
/* No folder may be in use any more. */
void mailbox_cache_done(struct mailbox_cache *cache);

/* The folder at `path` below `root`, made when it is missing; give it back with _put. 0; -errno
 * with the outcome set. Any thread; may wait for the disk. `path` is copied, `root` must stay. */
int mailbox_cache_get(struct mailbox_cache *cache, const struct mailbox_root *root,
                      const char *path, struct mailbox_outcome *outcome,
                      struct mailbox_folder **out);
/* Before something gets a name in the folder: 0, also when it was looked up within that second;
 * -errno as of _get, with the outcome set, when its root isn't what the root's path names any more.
 * Any thread; may wait for the disk. */
int mailbox_cache_look(struct mailbox_cache *cache, const struct mailbox_folder *folder,
                       struct mailbox_outcome *outcome);
/* Any thread. The last user of a folder that was forgotten meanwhile closes it. */
void mailbox_cache_put(struct mailbox_cache *cache, struct mailbox_folder *folder);
/* The next _get opens it anew: it was seen to be gone. */
void mailbox_cache_distrust(struct mailbox_cache *cache, struct mailbox_folder *folder);
