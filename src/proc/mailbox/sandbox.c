#include "proc/mailbox/sandbox.h"

#include "base/log.h"
#include <sys/resource.h>

/* A large message for many mailboxes has a file open in each of them. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("can't raise the limit of open files: %m");
}

void mailbox_sandbox_enter(const struct process *process, struct mailbox_roots *roots,
                           int (*start_threads)(void *arg), void *arg)
{
    struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .syscalls = sandbox_file_syscalls,
        .syscall_count = sandbox_file_syscall_count,
        .kill = process->sandbox_kills,
        .start_threads = start_threads,
        .arg = arg,
    };
    for (size_t i = 0; i < roots->count; i++)
        sandbox.folders[sandbox.folder_count++] =
            (struct sandbox_folder){roots->list[i].fd, SANDBOX_READ | SANDBOX_WRITE};
    roots->sealed = true;
    raise_file_limit();
    sandbox_enter(&sandbox);
}
