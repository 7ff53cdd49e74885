/*
 * It talks to strangers all over the world: TCP outwards, and no file at all.
 */
#include "proc/smtp/sandbox.h"

#include "proc/common/sandbox.h"

void smtp_sandbox_enter(const struct process *process)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .may_connect_tcp = true,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
