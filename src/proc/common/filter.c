/*
 * Two filters, of which the kernel takes the stricter word. The first allows all but what would
 * change things that all processes share; the second allows a list of calls and nothing else. One
 * list couldn't say both: libseccomp knows no condition "unless".
 *
 * What a process shares with others is an open file that each of them was handed: its status flags,
 * its position, and of a socket all its state. So whoever may call shutdown(), setsockopt() or
 * F_SETFL on a listener or on the log reaches every process, also those of the next generation.
 */
#include "proc/common/filter.h"

#include "base/span.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What every process needs for its loop, its channels, its memory, its threads and its end. */
static const int common_syscalls[] = {
    SYS_read,
    SYS_readv,
    SYS_recvmsg,
    SYS_recvfrom,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
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

/* Those of them that are harmless only so. */
static const struct sandbox_rule common_rules[] = {
    {SYS_fcntl, {SANDBOX_IS(1, F_GETFL)}},
    {SYS_fcntl, {SANDBOX_IS(1, F_GETFD)}},
    {SYS_fcntl, {SANDBOX_IS(1, F_SETFD)}},
    {SYS_prctl, {SANDBOX_IS(0, PR_SET_NAME)}},
    {SYS_prctl, {SANDBOX_IS(0, PR_SET_VMA)}},
    /* Memory is never executable. */
    {SYS_mmap, {SANDBOX_BITS(2, PROT_EXEC, 0)}},
    {SYS_mprotect, {SANDBOX_BITS(2, PROT_EXEC, 0)}},
    /* Only asking for limits; but one's own of descriptors may be set, up to what it was. */
    {SYS_prlimit64, {SANDBOX_NULL(2)}},
    {SYS_prlimit64, {SANDBOX_IS(0, 0), SANDBOX_IS(1, RLIMIT_NOFILE)}},
};

/* MSG_FASTOPEN connects (RFC 7413), and a listener that was shut down before, too; neither a rule
 * about connect() nor Landlock sees it. A name in sendmsg() can't be seen here: without that flag
 * TCP doesn't look at it, and Unix streams refuse it. */
static const struct sandbox_rule send_rules[] = {
    {SYS_sendmsg, {SANDBOX_BITS(2, MSG_FASTOPEN, 0)}},
    {SYS_sendto, {SANDBOX_BITS(3, MSG_FASTOPEN, 0), SANDBOX_NULL(4)}},
};

/* Who may connect may do it so, too: libunbound does. */
static const struct sandbox_rule connect_rules[] = {
    {SYS_connect},
    {SYS_getsockname},
    {SYS_getpeername},
    {SYS_sendmsg},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_TCP), SANDBOX_IS(2, TCP_NODELAY)}},
};
static const struct sandbox_rule unnamed_rule = {SYS_sendto, {SANDBOX_NULL(4)}};

/* libunbound's: options of the sockets through which it asks, and their O_NONBLOCK. */
static const struct sandbox_rule udp_rules[] = {
    {SYS_bind},
    {SYS_sendto},
    {SYS_sendmmsg},
    {SYS_fcntl, {SANDBOX_IS(1, F_SETFL), SANDBOX_BITS(2, ~(O_ACCMODE | O_NONBLOCK), 0)}},
    {SYS_setsockopt, {SANDBOX_IS(1, SOL_SOCKET), SANDBOX_IS(2, SO_REUSEADDR)}},
    {SYS_setsockopt, {SANDBOX_IS(1, SOL_SOCKET), SANDBOX_IS(2, SO_RCVBUF)}},
    {SYS_setsockopt, {SANDBOX_IS(1, SOL_SOCKET), SANDBOX_IS(2, SO_SNDBUF)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IP), SANDBOX_IS(2, IP_TOS)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IP), SANDBOX_IS(2, IP_MTU_DISCOVER)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IP), SANDBOX_IS(2, IP_BIND_ADDRESS_NO_PORT)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IPV6), SANDBOX_IS(2, IPV6_V6ONLY)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IPV6), SANDBOX_IS(2, IPV6_MTU)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IPV6), SANDBOX_IS(2, IPV6_MTU_DISCOVER)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_IPV6), SANDBOX_IS(2, IPV6_TCLASS)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_TCP), SANDBOX_IS(2, TCP_MAXSEG)}},
};

/* The kernel takes SHUT_WR of a listener and does nothing; any other end of it would end it for
 * all. Other options could, too: TCP_MD5SIG for a network, TCP_DEFER_ACCEPT. With SO_LINGER another
 * process that is handed the socket would block when it closes it. */
static const struct sandbox_rule accept_rules[] = {
    {SYS_accept4},
    {SYS_shutdown, {SANDBOX_IS(1, SHUT_WR)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_TCP), SANDBOX_IS(2, TCP_NODELAY)}},
    {SYS_setsockopt, {SANDBOX_IS(1, IPPROTO_TCP), SANDBOX_IS(2, TCP_QUICKACK)}},
};

/* Standard streams, which whoever started the server shares with all of it, and the supervisor's
 * channel, which needs none of this: descriptors 0 to 3. The log is the one thing that tells what
 * happened: it can be written, and neither shut down nor, when it is a file, cut or overwritten. No
 * process may duplicate a descriptor, so no other number can be had for them. */
static const int never_on_standard_streams[] = {
    SYS_shutdown, SYS_setsockopt, SYS_fcntl,    SYS_lseek,  SYS_ftruncate, SYS_fallocate,
    SYS_pwrite64, SYS_pwritev,    SYS_pwritev2, SYS_fchmod, SYS_flock,
};
static const struct sandbox_condition on_standard_streams = SANDBOX_BITS(0, ~3, 0);

static int add_rule(scmp_filter_ctx filter, uint32_t action, const struct sandbox_rule *rule)
{
    struct scmp_arg_cmp args[ARRAY_SIZE(rule->when)];
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rule->when) && rule->when[i].mask; i++)
        args[count++] = (struct scmp_arg_cmp){rule->when[i].argument, SCMP_CMP_MASKED_EQ,
                                              rule->when[i].mask, rule->when[i].value};
    return seccomp_rule_add_array(filter, action, rule->call, count, args);
}

static int allow_rules(scmp_filter_ctx filter, const struct sandbox_rule *rules, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = add_rule(filter, SCMP_ACT_ALLOW, &rules[i]);
    return r;
}

static int allow_calls(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

/* abort() sends a signal to itself; nobody else may get one. */
static int allow_abort(scmp_filter_ctx filter)
{
    const struct sandbox_rule rule = {SYS_tgkill, {SANDBOX_IS(0, getpid())}};
    return add_rule(filter, SCMP_ACT_ALLOW, &rule);
}

/* Only towards the Internet, and nothing but this protocol: a Unix, netlink or raw socket would be
 * a way around the other walls. The flags of the type don't matter. */
static int allow_sockets(scmp_filter_ctx filter, int type, int protocol)
{
    const int families[] = {AF_INET, AF_INET6}, protocols[] = {0, protocol};
    const uint32_t type_mask = 0xf;
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(protocols); k++) {
            const struct sandbox_rule rule = {SYS_socket,
                                              {SANDBOX_IS(0, families[i]),
                                               SANDBOX_BITS(1, type_mask, type),
                                               SANDBOX_IS(2, protocols[k])}};
            r = add_rule(filter, SCMP_ACT_ALLOW, &rule);
        }
    return r;
}

static int allow_network(scmp_filter_ctx filter, const struct sandbox *s)
{
    int r = s->may_connect_tcp ? allow_rules(filter, connect_rules, ARRAY_SIZE(connect_rules))
                               : allow_rules(filter, send_rules, ARRAY_SIZE(send_rules));

    if (r == 0 && s->may_connect_tcp)
        r = allow_sockets(filter, SOCK_STREAM, IPPROTO_TCP);
    if (r == 0 && s->may_connect_tcp && !s->may_use_udp)
        r = add_rule(filter, SCMP_ACT_ALLOW, &unnamed_rule);
    if (r == 0 && s->may_use_udp)
        r = allow_rules(filter, udp_rules, ARRAY_SIZE(udp_rules));
    if (r == 0 && s->may_use_udp)
        r = allow_sockets(filter, SOCK_DGRAM, IPPROTO_UDP);
    if (r == 0 && s->may_accept)
        r = allow_rules(filter, accept_rules, ARRAY_SIZE(accept_rules));
    return r;
}

/* In `errno` mode what isn't allowed is refused anyway. */
static int refuse_calls(scmp_filter_ctx filter, const struct sandbox *s)
{
    int r = 0;

    for (size_t i = 0; s->kill && r == 0 && i < s->refused_count; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), s->refused[i], 0);
    return r;
}

static int fill_list(scmp_filter_ctx filter, const struct sandbox *s)
{
    int r = allow_calls(filter, common_syscalls, ARRAY_SIZE(common_syscalls));

    if (r == 0)
        r = allow_rules(filter, common_rules, ARRAY_SIZE(common_rules));
    if (r == 0)
        r = allow_abort(filter);
    if (r == 0)
        r = allow_calls(filter, s->syscalls, s->syscall_count);
    if (r == 0)
        r = allow_rules(filter, s->rules, s->rule_count);
    if (r == 0)
        r = refuse_calls(filter, s);
    if (r == 0)
        r = allow_network(filter, s);
    return r;
}

static uint32_t forbid(const struct sandbox *s)
{
    return s->kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
}

static int fill_shared(scmp_filter_ctx filter, const struct sandbox *s)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(never_on_standard_streams); i++) {
        const struct sandbox_rule rule = {never_on_standard_streams[i], {on_standard_streams}};
        r = add_rule(filter, forbid(s), &rule);
    }
    return r;
}

/* TSYNC: the threads that were started before get the filter, too. */
static int enter(const struct sandbox *s, uint32_t otherwise,
                 int (*fill)(scmp_filter_ctx filter, const struct sandbox *s))
{
    scmp_filter_ctx filter = seccomp_init(otherwise);
    int r = filter ? 0 : -ENOMEM;

    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0) /* a binary tree: the hot calls are not slowed by a long list */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = fill(filter, s);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

/* The list comes last: it has no seccomp() itself. */
int filter_enter(const struct sandbox *s)
{
    int r = enter(s, SCMP_ACT_ALLOW, fill_shared);
    return r < 0 ? r : enter(s, forbid(s), fill_list);
}
