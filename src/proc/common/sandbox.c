/*
 * From the outside in: ids, privileges, folders, threads, limits, system calls. The order is
 * forced: a root directory needs root, threads must be there before the calls that make them are
 * forbidden, and seccomp comes last because it forbids everything before it.
 */
#include "proc/common/sandbox.h"

#include "base/log.h"
#include "base/span.h"
#include "proc/common/landlock.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What every process needs for its loop, its channels, its memory, its threads and its end. */
static const int common_syscalls[] = {
    SYS_read,
    SYS_readv,
    SYS_recvmsg,
    SYS_recvfrom,
    SYS_write,
    SYS_writev,
    SYS_sendmsg,
    SYS_sendto,
    SYS_close,
    SYS_dup,
    SYS_fstat,
    SYS_lseek,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_epoll_wait,
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_epoll_pwait2,
    SYS_poll,
    SYS_ppoll,
    SYS_futex,
    SYS_brk,
    SYS_munmap,
    SYS_madvise,
    SYS_mremap,
    SYS_membarrier,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_set_robust_list,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettimeofday,
    SYS_time,
    SYS_nanosleep,
    SYS_getpid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrandom,
    SYS_getrusage,
    SYS_times,
    SYS_sysinfo,
    SYS_uname,
    SYS_exit,
    SYS_exit_group,
};

const int sandbox_file_syscalls[] = {
    SYS_openat,   SYS_openat2,   SYS_newfstatat,      SYS_statx,     SYS_faccessat, SYS_faccessat2,
    SYS_pread64,  SYS_preadv,    SYS_preadv2,         SYS_pwrite64,  SYS_pwritev,   SYS_pwritev2,
    SYS_fsync,    SYS_fdatasync, SYS_sync_file_range, SYS_fallocate, SYS_ftruncate, SYS_fadvise64,
    SYS_renameat, SYS_renameat2, SYS_linkat,          SYS_unlinkat,  SYS_mkdirat,   SYS_getdents64,
    SYS_fstatfs,  SYS_statfs,    SYS_flock,           SYS_fchmod,    SYS_umask,
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

/* Allows a call only when all bits of `mask` in one argument have the given value. */
static int allow_masked(scmp_filter_ctx filter, int call, unsigned argument, uint64_t mask,
                        uint64_t value)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                            SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value));
}

/* Calls that are harmless only with some arguments. */
static int allow_conditional(scmp_filter_ctx filter)
{
    const int fcntl_commands[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC};
    const int prctl_options[] = {PR_SET_NAME, PR_SET_VMA};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fcntl_commands); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_fcntl, 1,
                             SCMP_A1(SCMP_CMP_EQ, (uint64_t)fcntl_commands[i]));
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(prctl_options); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_prctl, 1,
                             SCMP_A0(SCMP_CMP_EQ, (uint64_t)prctl_options[i]));
    /* Memory is never executable. */
    if (r == 0)
        r = allow_masked(filter, SYS_mmap, 2, PROT_EXEC, 0);
    if (r == 0)
        r = allow_masked(filter, SYS_mprotect, 2, PROT_EXEC, 0);
    /* abort() sends a signal to itself; nobody else may get one. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_tgkill, 1,
                             SCMP_A0(SCMP_CMP_EQ, (uint64_t)getpid()));
    /* Only asking for one's own limits, not setting anyone's. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_prlimit64, 1, SCMP_A2(SCMP_CMP_EQ, 0));
    return r;
}

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

/* Only towards the Internet, and nothing but this protocol: a Unix, netlink or raw socket would be
 * a way around the other walls. The flags of the type don't matter. */
static int allow_sockets(scmp_filter_ctx filter, int type, int protocol)
{
    const int families[] = {AF_INET, AF_INET6}, protocols[] = {0, protocol};
    const uint64_t type_mask = 0xf;
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(protocols); k++)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_socket, 3,
                                 SCMP_A0(SCMP_CMP_EQ, (uint64_t)families[i]),
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, (uint64_t)type),
                                 SCMP_A2(SCMP_CMP_EQ, (uint64_t)protocols[k]));
    return r;
}

static int allow_connecting(scmp_filter_ctx filter, const struct sandbox *s)
{
    const int calls[] = {SYS_connect, SYS_setsockopt, SYS_getsockname, SYS_getpeername};
    const int udp_calls[] = {SYS_bind, SYS_sendmmsg};
    int r = 0;

    if (s->may_connect_tcp || s->may_use_udp)
        r = allow_all(filter, calls, ARRAY_SIZE(calls));
    if (r == 0 && s->may_connect_tcp)
        r = allow_sockets(filter, SOCK_STREAM, IPPROTO_TCP);
    if (r == 0 && s->may_use_udp)
        r = allow_all(filter, udp_calls, ARRAY_SIZE(udp_calls));
    if (r == 0 && s->may_use_udp)
        r = allow_sockets(filter, SOCK_DGRAM, IPPROTO_UDP);
    return r;
}

/* Options of TCP only: with SO_LINGER another process that is handed the socket would block when it
 * closes it. */
static int allow_accepting(scmp_filter_ctx filter)
{
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_accept4, 0);

    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_setsockopt, 1,
                             SCMP_A1(SCMP_CMP_EQ, IPPROTO_TCP));
    return r;
}

/* TSYNC: the threads that were started before get the filter, too. What isn't allowed ends the
 * process, for it was taken over or has a fault; with `sandbox: errno` it is only refused. */
static void enter_seccomp(const struct sandbox *s)
{
    scmp_filter_ctx filter = seccomp_init(s->kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM));
    int r = filter ? 0 : -ENOMEM;

    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0) /* a binary tree: the hot calls are not slowed by a long list */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = allow_all(filter, common_syscalls, ARRAY_SIZE(common_syscalls));
    if (r == 0)
        r = allow_conditional(filter);
    if (r == 0)
        r = allow_all(filter, s->syscalls, s->syscall_count);
    if (r == 0)
        r = allow_connecting(filter, s);
    if (r == 0 && s->may_accept)
        r = allow_accepting(filter);
    if (r == 0)
        r = seccomp_load(filter);
    if (r < 0)
        log_fatal("sandbox: seccomp: %s", strerror(-r));
    seccomp_release(filter);
}

void sandbox_enter(const struct sandbox *sandbox)
{
    tzset(); /* reads /etc/localtime while it can */
    become_user(sandbox);
    drop_privileges();
    enter_landlock(sandbox);
    start_threads(sandbox);
    limit_resources();
    enter_seccomp(sandbox);
}
