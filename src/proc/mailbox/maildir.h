/*
 * Delivery into Maildirs: whole or not at all, and safe on the disk before anybody is told.
 *
 *   IDLE --begin--> WRITING --commit: sync--> SYNCED --rename--> NAMED --sync new/--> DONE
 *      \_______________\_________________________\__________________\--any trouble--> DONE
 *
 * A file is written in tmp/ under a unique name (O_EXCL, mode 0600), synced, renamed into new/ with
 * a name that must be free there, and new/ is synced. A crash before the rename leaves a file in
 * tmp/, which the sweep removes; a crash after it leaves a message that is delivered once more.
 *
 * Many deliveries are committed together: the first sync of a batch carries the file system's
 * journal for all of them, and each new/ is synced once. The name in new/ is
 *
 *   <seconds>.M<microseconds>P<pid>_Q<counter>.<host>,S=<bytes>,W=<bytes with CRLF line ends>
 *
 * Functions block and are called on any thread, for one delivery by one thread at a time. They
 * don't return errors: the delivery's outcome says what happened, and once it is DONE they do
 * nothing.
 */
#pragma once

#include "proc/mailbox/cache.h"
#include <stdatomic.h>
#include <sys/uio.h>

enum maildir_state { MAILDIR_IDLE, MAILDIR_WRITING, MAILDIR_SYNCED, MAILDIR_NAMED, MAILDIR_DONE };

enum { MAILDIR_HOST_MAX = 96, MAILDIR_NAME_MAX = 240, MAILDIR_FOLDERS_DEFAULT = 128 };

struct maildir {
    struct mailbox_cache cache;
    char host[MAILDIR_HOST_MAX];      /* as in file names */
    int pid;                          /* of this process, which never forks */
    atomic_uint_fast64_t quota_bytes; /* of each mailbox; 0: none */
    atomic_uint_fast64_t counter;
};

struct maildir_delivery {
    struct mailbox_outcome outcome;
    enum maildir_state state;
    struct mailbox_folder *folder;
    int fd;
    char name[MAILDIR_NAME_MAX]; /* in tmp/, later in new/ */
    uint64_t size_bytes;         /* written so far */
    uint64_t wire_bytes;         /* the same with CRLF line ends */
    uint64_t reserved_bytes;     /* of the quota */
};

/* `host`: bytes that don't belong in a file name are replaced. `folders_max`: mailboxes kept open.
 */
void maildir_init(struct maildir *m, struct span host, uint64_t quota_bytes, unsigned folders_max);
void maildir_done(struct maildir *m);
/* For deliveries that begin from now on. */
void maildir_set_quota(struct maildir *m, uint64_t quota_bytes);

/* Opens the mailbox at `path` below `root` and a file in its tmp/. `size` is about what will be
 * written, for the quota. */
void maildir_begin(struct maildir *m, struct maildir_delivery *d, const struct mailbox_root *root,
                   const char *path, uint64_t size);
/* Writes all parts; `line_ends` of their LFs stand for a CRLF. May change the parts. */
void maildir_write(struct maildir *m, struct maildir_delivery *d, struct iovec *parts, int count,
                   uint64_t line_ends);
/* Ends all that are WRITING: delivered, or with the trouble in their outcome. */
void maildir_commit(struct maildir *m, struct maildir_delivery *const *deliveries, size_t count);
/* Undoes a delivery that is under way, with an outcome that the caller sets afterwards. */
void maildir_abandon(struct maildir *m, struct maildir_delivery *d);
