#include "proc/resolver/sandbox.h"

#include "proc/common/sandbox.h"

void resolver_sandbox_enter(const struct process *process, int (*start_threads)(void *arg),
                            void *arg)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .may_connect_tcp = true,
        .may_use_udp = true,
        .start_threads = start_threads,
        .arg = arg,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
