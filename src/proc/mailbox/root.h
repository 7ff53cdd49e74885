/*
 * A folder that mailboxes lie in: the fixed prefix of a template. It is opened before the sandbox,
 * behind which nothing beside it can be reached; so it is looked at now and then whether its path
 * still names it. Who mounts a file system there, or puts a copy back in its place, would else get
 * no mail any more: it would go on into the folder below the mount, or into the one moved away.
 * One that isn't there yet at the start, as when a disk comes late, holds up nobody else's mail:
 * its own is deferred until it is there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { MAILBOX_ROOT_RETRY_MS = 300000 }; /* to look costs all other mail a moment */

struct mailbox_root {
    int fd; /* O_PATH suffices; -1: it couldn't be opened */
    const char *path;
    int error;        /* then: why, -errno */
    int64_t tried_ms; /* when: of clock_monotonic_ms() */
};

/* Opens it. 0; one that isn't there, or can't be reached, is logged, and is a root all the same.
 * -ENOMEM, -EMFILE or -ENFILE. `path` is copied. */
int mailbox_root_open(struct mailbox_root *root, const char *path);

/* 0: its path names it still, or nobody can tell; -ENOENT, -ENOTDIR: the path names nothing now, or
 * what is no folder; -EACCES: one that couldn't be opened, as root->error says, or that we may not
 * see; -ESTALE: another one, which only a process that is started anew can open, or it was -EACCES
 * for MAILBOX_ROOT_RETRY_MS: rights may have changed since. May wait for the disk; any thread. */
int mailbox_root_look(const struct mailbox_root *root);
/* Of one that couldn't be opened: whether there is something now, or might be where we may not see
 * it. Waits for the disk, as mailbox_root_open() would in the process that is started anew. */
bool mailbox_root_may_have_come(const struct mailbox_root *root);
