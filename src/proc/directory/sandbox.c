#include "proc/directory/sandbox.h"

#include "proc/common/sandbox.h"

#include <sys/syscall.h>

/* Who is at the other end of a connection that smtpd asks about. */
static const int syscalls[] = {SYS_getpeername, SYS_getsockname};

void directory_sandbox_enter(const struct process *process)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .syscalls = syscalls,
        .syscall_count = sizeof(syscalls) / sizeof(*syscalls),
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
