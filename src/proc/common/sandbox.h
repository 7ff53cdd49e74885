/*
 * What a process gives up before it meets anyone: the user root, files, the network, other
 * processes, new programs. A process that was taken over must find nothing.
 *
 * Four walls, each enough by itself for most of it:
 *   ids       as root: another user and group, no supplementary groups, no capabilities, and a root
 *             directory of its own where it needs paths; always no_new_privs, no core, not dumpable
 *   Landlock  only the given folders; no TCP bind or (unless may_connect_tcp) connect; no abstract
 *             sockets or signals outside
 *   seccomp   only the system calls that the process lists beside the common ones, and none that
 *             changes open files which it shares with others (filter.c)
 *   rlimits   no new processes, no core files
 *
 * Threads are started between Landlock, which a thread inherits from the one that starts it, and
 * seccomp, which is set on all of them at once: a process that has more than one thread before
 * ends. On a kernel without a wall a warning is logged and the others stand. Everything else that
 * fails ends the process.
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

/* (argument & mask) == value. The kernel reads the lower half of an int only, so nothing is said of
 * the other one, where anything may stand. */
struct sandbox_condition {
    unsigned argument;
    uint64_t mask, value; /* mask 0: no condition */
};

#define SANDBOX_BITS(number, bits, what)                                                           \
    {                                                                                              \
        (number), (uint32_t)(bits), (uint32_t)(what)                                               \
    }
#define SANDBOX_IS(number, what) SANDBOX_BITS(number, UINT32_MAX, what)
#define SANDBOX_NULL(number)                                                                       \
    {                                                                                              \
        (number), UINT64_MAX, 0                                                                    \
    }

/* A call that is harmless only when all this holds. */
struct sandbox_rule {
    int call;
    struct sandbox_condition when[3];
};

struct sandbox {
    uint32_t uid, gid; /* to become when root; SANDBOX_STAY: stay what we are */
    int root_fd;       /* folder that becomes "/" when root; -1: none */
    struct sandbox_folder folders[SANDBOX_FOLDERS_MAX];
    size_t folder_count;
    const int *syscalls; /* beside the common ones */
    size_t syscall_count;
    const struct sandbox_rule *rules; /* likewise, with conditions */
    size_t rule_count;
    const int *refused; /* fail with EPERM also where `kill` is set: a library may try them */
    size_t refused_count;
    /* Starts the process's threads; NULL: it has none. 0 or -errno. */
    int (*start_threads)(void *arg);
    void *arg;
    /* May open sockets of IPv4 and IPv6 and connect them, with any peer; for UDP also bind a port.
     * Nobody may listen. */
    bool may_connect_tcp, may_use_udp;
    bool may_accept; /* on sockets that it was handed; and end its half of a connection */
    bool kill;       /* end the process at a forbidden call; else the call fails: EPERM */
};

/* Returns only when all that the kernel offers is in force. */
void sandbox_enter(const struct sandbox *sandbox);

/* System calls for handling files beneath the given folders by openat and its like. Nothing that
 * changes modes, which Landlock doesn't see. */
extern const int sandbox_file_syscalls[];
extern const size_t sandbox_file_syscall_count;
