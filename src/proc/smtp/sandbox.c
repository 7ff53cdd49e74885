#include "proc/smtp/sandbox.h"

#include "base/log.h"
#include "proc/common/sandbox.h"
#include <sys/resource.h>

/* A destination may have many connections, and there are many destinations. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("can't raise the limit of open files: %m");
}

void smtp_sandbox_enter(const struct process *process)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .may_connect_tcp = true,
        .kill = process->sandbox_kills,
    };
    raise_file_limit();
    sandbox_enter(&sandbox);
}
