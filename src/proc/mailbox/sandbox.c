#include "proc/mailbox/sandbox.h"

#include "base/span.h"
#include <sys/syscall.h>

static const struct sandbox_rule rules[] = {{SYS_linkat}, {SYS_mkdirat}};

void mailbox_sandbox_enter(const struct process *process, struct mailbox_roots *roots,
                           int (*start_threads)(void *arg), void *arg)
{
    struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = -1,
        .syscalls = sandbox_file_syscalls,
        .syscall_count = sandbox_file_syscall_count,
        .rules = rules,
        .rule_count = ARRAY_SIZE(rules),
        .kill = process->sandbox_kills,
        .start_threads = start_threads,
        .arg = arg,
    };
    _Static_assert((int)MAILBOX_ROOTS_MAX <= (int)SANDBOX_FOLDERS_MAX, "a folder for each root");
    for (size_t i = 0; i < roots->count; i++)
        if (roots->list[i].fd >= 0)
            sandbox.folders[sandbox.folder_count++] =
                (struct sandbox_folder){roots->list[i].fd, SANDBOX_READ | SANDBOX_WRITE};
    /* From here on open() by a path fails; domains.c must know that before it tries. */
    roots->sealed = true;
    sandbox_enter(&sandbox);
}
