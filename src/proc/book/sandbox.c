#include "proc/book/sandbox.h"

#include "book/chain.h"
#include "proc/common/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <unistd.h>

/* SQLite goes by paths, locks bytes of its files, and makes and removes files beside them. */
static const struct sandbox_rule rules[] = {
    {SYS_access},
    {SYS_stat},
    {SYS_lstat},
    {SYS_unlink},
    {SYS_rename},
    {SYS_readlink},
    {SYS_getcwd},
    {SYS_fcntl, {SANDBOX_IS(1, F_SETLK)}},
    {SYS_fcntl, {SANDBOX_IS(1, F_SETLKW)}},
    {SYS_fcntl, {SANDBOX_IS(1, F_GETLK)}},
    {SYS_fcntl, {SANDBOX_IS(1, F_OFD_SETLK)}}, /* the lease */
};

/* It would give a file beside the ledger's the same mode, and does without. The spool's files have
 * the same owner: with fchmod() the queue could be locked out of them. */
static const int refused[] = {SYS_fchmod};

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
    int r = prepare_libraries();

    if (r < 0)
        return r;
    const struct sandbox sandbox = {
        .uid = process->uid,
        .gid = process->gid,
        .root_fd = ledger_fd,
        .folders = {{spool_fd, SANDBOX_READ}, {ledger_fd, SANDBOX_READ | SANDBOX_WRITE}},
        .folder_count = 2,
        .syscalls = sandbox_file_syscalls,
        .syscall_count = sandbox_file_syscall_count,
        .rules = rules,
        .rule_count = ARRAY_SIZE(rules),
        .refused = refused,
        .refused_count = ARRAY_SIZE(refused),
        .start_threads = start_threads,
        .arg = arg,
        .kill = process->sandbox_kills,
    };
    sandbox_enter(&sandbox);
    return 0;
}
