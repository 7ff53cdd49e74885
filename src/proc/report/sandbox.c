#include "proc/report/sandbox.h"

#include "proc/common/sandbox.h"

void report_sandbox_enter(const struct process *process)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
