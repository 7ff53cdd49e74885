/*
 * A folder that mailboxes lie in: the fixed prefix of a template. It is opened before the sandbox,
 * behind which nothing beside it can be reached; so it is looked at now and then whether its path
 * still names it. Who mounts a file system there, or puts a copy back in its place, would else get
 * no mail any more: it would go on into the folder below the mount, or into the one moved away.
 */
#pragma once

struct mailbox_root {
    int fd; /* O_PATH suffices */
    const char *path;
};

/* 0: its path names it still, or nobody can tell; -ENOENT: the path names no folder now; -ESTALE:
 * it names another one, which only a process that is started anew can open. May wait for the disk;
 * any thread. */
int mailbox_root_look(const struct mailbox_root *root);
