#include "proc/smtpd/sandbox.h"

#include "proc/common/sandbox.h"

#include <sys/syscall.h>

/* setsockopt: a listener of a later generation is set up after the sandbox is on. */
static const int syscalls[] = {SYS_accept4, SYS_setsockopt};

void smtpd_sandbox_enter(const struct process *process)
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
