/*
 * What a process gives up before it meets anyone: the user root, files, the network, other
 * processes, new programs. A process that was taken over must find nothing.
 *
 * Four walls, each enough by itself for most of it:
 *   ids       as root: another user and group, no supplementary groups, no capabilities, and a root
 *             directory of its own where it needs paths; always no_new_privs, no core, not dumpable
 *   Landlock  only the given folders; no TCP bind or (unless may_connect_tcp) connect; no abstract
 *             sockets or signals outside
 *   seccomp   only the system calls that the process lists beside the common ones
 *   rlimits   no new processes, no core files
 *
 * Threads are started between Landlock, which a thread inherits from the one that starts it, and
 * seccomp, which is set on all of them at once. On a kernel without a wall a
 * warning is logged and the others stand. Everything else that fails ends the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SANDBOX_FOLDERS_MAX = 4096, SANDBOX_STAY = UINT32_MAX };

/* What may be done beneath a folder. */
enum sandbox_access {
    SANDBOX_READ = 1,  /* open and list */
    SANDBOX_WRITE = 2, /* create, write, rename, remove; folders too */
};

struct sandbox_folder {
    int fd;
    unsigned access; /* enum sandbox_access */
};

struct sandbox {
    uint32_t uid, gid; /* to become when root; SANDBOX_STAY: stay what we are */
    int root_fd;       /* folder that becomes "/" when root; -1: none */
    struct sandbox_folder folders[SANDBOX_FOLDERS_MAX];
    size_t folder_count;
    const int *syscalls; /* beside the common ones */
    size_t syscall_count;
    /* Starts the process's threads; NULL: it has none. 0 or -errno. */
    int (*start_threads)(void *arg);
    void *arg;
    /* May open sockets of IPv4 and IPv6 and connect them, with any peer; for UDP also bind a port.
     * Nobody may listen. */
    bool may_connect_tcp, may_use_udp;
    bool may_accept; /* on sockets that it was handed */
    bool kill;       /* end the process at a forbidden call; else the call fails: EPERM */
};

/* Returns only when all that the kernel offers is in force. */
void sandbox_enter(const struct sandbox *sandbox);

/* System calls for handling files beneath the given folders by openat and its like. */
extern const int sandbox_file_syscalls[];
extern const size_t sandbox_file_syscall_count;
