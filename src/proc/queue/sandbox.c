/*
 * The queue's cage: its spool and nothing else, its files' calls, and accept4 for the control
 * socket.
 */
#include "proc/queue/sandbox.h"

#include "proc/common/sandbox.h"
#include <string.h>
#include <sys/syscall.h>

enum { CALLS_MAX = 128 };

void queue_sandbox(const struct process *process, int spool_fd)
{
    int calls[CALLS_MAX] = {SYS_accept4};
    size_t count = 1;

    memcpy(calls + count, sandbox_file_syscalls, sandbox_file_syscall_count * sizeof(int));
    count += sandbox_file_syscall_count;
    struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = spool_fd,
        .folders = {{spool_fd, SANDBOX_READ | SANDBOX_WRITE}},
        .folder_count = 1,
        .syscalls = calls,
        .syscall_count = count,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
