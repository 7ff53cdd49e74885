/*
 * The queue's cage: its spool and nothing else, its files' calls, and accept4 for the control
 * socket. Its spool is locked by flock(), and its bulk segments are O_DIRECT.
 */
#include "proc/queue/sandbox.h"

#include "base/span.h"
#include "proc/common/sandbox.h"
#include <fcntl.h>
#include <sys/syscall.h>

static const struct sandbox_rule rules[] = {
    {SYS_accept4},
    {SYS_flock},
    {SYS_fcntl, {SANDBOX_IS(1, F_SETFL), SANDBOX_IS(2, O_DIRECT)}},
};

void queue_sandbox(const struct process *process, int spool_fd, int (*start_threads)(void *arg),
                   void *arg)
{
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = spool_fd,
        .folders = {{spool_fd, SANDBOX_READ | SANDBOX_WRITE}},
        .folder_count = 1,
        .syscalls = sandbox_file_syscalls,
        .syscall_count = sandbox_file_syscall_count,
        .rules = rules,
        .rule_count = ARRAY_SIZE(rules),
        .start_threads = start_threads,
        .arg = arg,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
}
