/*
 * From the outside in: ids, privileges, folders, threads, limits, system calls. The order is
 * forced: a root directory needs root, threads must be there before the calls that make them are
 * forbidden, and seccomp comes last because it forbids everything before it.
 */
#include "proc/common/sandbox.h"

#include "base/log.h"
#include "base/span.h"
#include "proc/common/filter.h"
#include "proc/common/landlock.h"
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const int sandbox_file_syscalls[] = {
    SYS_openat,   SYS_openat2,   SYS_newfstatat,      SYS_statx,     SYS_faccessat, SYS_faccessat2,
    SYS_pread64,  SYS_preadv,    SYS_preadv2,         SYS_pwrite64,  SYS_pwritev,   SYS_pwritev2,
    SYS_fsync,    SYS_fdatasync, SYS_sync_file_range, SYS_fallocate, SYS_ftruncate, SYS_fadvise64,
    SYS_renameat, SYS_renameat2, SYS_unlinkat,        SYS_fstatfs,   SYS_statfs,    SYS_getdents64,
};
const size_t sandbox_file_syscall_count = ARRAY_SIZE(sandbox_file_syscalls);

/* Groups before ids: afterwards nobody may change them. The last line tries what must fail now. */
static void become_user(const struct sandbox *s)
{
    if (geteuid() != 0 || s->uid == SANDBOX_STAY)
        return;
    if (s->root_fd >= 0 && (fchdir(s->root_fd) < 0 || chroot(".") < 0))
        log_fatal("sandbox: chroot: %m");
    if (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
        setresuid(s->uid, s->uid, s->uid) < 0)
        log_fatal("sandbox: can't become user %u, group %u: %m", s->uid, s->gid);
    if (setresuid(0, 0, 0) == 0)
        log_panic("sandbox: could become root again");
}

/* Not dumpable: another process of the same user may not read our memory. No new privileges: what
 * Landlock and seccomp ask of a process that isn't root. */
static void drop_privileges(void)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        log_fatal("sandbox: %m");
}

static void start_threads(const struct sandbox *s)
{
    int r = s->start_threads ? s->start_threads(s->arg) : 0;
    if (r < 0)
        log_fatal("can't start threads: %s", strerror(-r));
}

/* After the threads: no new ones, and no processes. A core file would hold mail. */
static void limit_resources(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0)
        log_fatal("sandbox: %m");
}

/* Landlock binds the thread that enters it and those it starts: an earlier one would stay outside.
 * /proc shows a folder for each thread; where there is no /proc, nothing is known. */
static void check_threads(void)
{
    enum { LINKS_ALONE = 3 };
    struct stat tasks;

    if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > LINKS_ALONE)
        log_panic("sandbox: a thread was started before");
}

/* An old kernel is no reason not to run: it is said, and the other walls stand. */
static void enter_landlock(const struct sandbox *s)
{
    int version = landlock_enter(s);

    if (version < 0)
        log_fatal("sandbox: Landlock: %s", strerror(-version));
    if (version == 0)
        log_warn(
            "sandbox: this kernel has no Landlock; system call filter and user ids still stand");
    else if (version < 4)
        log_debug("sandbox: Landlock version %d doesn't cover TCP; the system call filter does",
                  version);
}

static void enter_filter(const struct sandbox *s)
{
    int r = filter_enter(s);
    if (r < 0)
        log_fatal("sandbox: seccomp: %s", strerror(-r));
}

void sandbox_enter(const struct sandbox *sandbox)
{
    check_threads();
    tzset(); /* reads /etc/localtime while it can */
    become_user(sandbox);
    drop_privileges();
    enter_landlock(sandbox);
    start_threads(sandbox);
    limit_resources();
    enter_filter(sandbox);
}
