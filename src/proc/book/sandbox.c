#include "proc/book/sandbox.h"

#include "book/chain.h"
#include "proc/common/sandbox.h"
#include <errno.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CALLS_MAX = 128 };

/* SQLite goes by paths, locks bytes of its files, and makes and removes files beside them. */
static const int sqlite_syscalls[] = {
    SYS_fcntl, SYS_access, SYS_stat, SYS_lstat, SYS_unlink, SYS_rename, SYS_readlink, SYS_getcwd,
};

bool book_sandbox_has_root(const struct process *process)
{
    return geteuid() == 0 && process->uid != SANDBOX_STAY;
}

/* What the libraries read from the system at first use must be read now. */
static int prepare_libraries(void)
{
    struct chain *chain;
    uint8_t random;

    sqlite3_randomness(sizeof(random), &random);
    int r = chain_new(&chain);
    if (r == 0)
        chain_free(chain);
    return r;
}

int book_sandbox_enter(const struct process *process, int spool_fd, int ledger_fd,
                       int (*start_threads)(void *arg), void *arg)
{
    int calls[CALLS_MAX], r = prepare_libraries();
    size_t count = 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < sandbox_file_syscall_count; i++)
        calls[count++] = sandbox_file_syscalls[i];
    for (size_t i = 0; i < ARRAY_SIZE(sqlite_syscalls); i++)
        calls[count++] = sqlite_syscalls[i];
    struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = ledger_fd,
        .folders = {{spool_fd, SANDBOX_READ}, {ledger_fd, SANDBOX_READ | SANDBOX_WRITE}},
        .folder_count = 2,
        .syscalls = calls,
        .syscall_count = count,
        .start_threads = start_threads,
        .arg = arg,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
    return 0;
}
