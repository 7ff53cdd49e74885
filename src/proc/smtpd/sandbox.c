#include "proc/smtpd/sandbox.h"

#include "proc/common/sandbox.h"

void smtpd_sandbox_enter(const struct process *process)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .may_accept = true,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
