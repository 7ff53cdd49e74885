/*
 * What can be done to open files that several processes share: the sockets that strangers connect
 * to, the log, files of the spool. Most are tried on a listener, which only smtpd and queue have,
 * and count as done by whoever gets past the filter.
 */
#include "taken_over.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* An int's other half, which the kernel doesn't read. */
#define LONGER (1L << 32)

enum { LOG = STDERR_FILENO };

static struct sockaddr_in self = {.sin_family = AF_INET};

/* ---- sockets ---- */

static long end_listener(void)
{
    return past_filter(syscall(SYS_shutdown, taken_over_listener(), SHUT_RDWR));
}

static long end_listening(void)
{
    return past_filter(syscall(SYS_shutdown, taken_over_listener(), SHUT_RD));
}

static long end_own_half(void)
{
    return past_filter(syscall(SYS_shutdown, taken_over_listener(), SHUT_WR));
}

static long send_to_name(void)
{
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return past_filter(
        syscall(SYS_sendto, taken_over_listener(), "x", 1, MSG_NOSIGNAL, &self, sizeof(self)));
}

static long connect_by_sendto(long more)
{
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return past_filter(syscall(SYS_sendto, taken_over_listener(), "x", 1,
                               MSG_NOSIGNAL | MSG_FASTOPEN | more, &self, sizeof(self)));
}

static long fast_open_sendto(void)
{
    return connect_by_sendto(0);
}

static long fast_open_sendto_longer(void)
{
    return connect_by_sendto(LONGER);
}

static long fast_open_unnamed(void)
{
    return past_filter(
        syscall(SYS_sendto, taken_over_listener(), "x", 1, MSG_NOSIGNAL | MSG_FASTOPEN, NULL, 0));
}

static long connect_by_sendmsg(int call, long more)
{
    struct iovec word = {"x", 1};
    struct mmsghdr m = {
        .msg_hdr = {
            .msg_name = &self, .msg_namelen = sizeof(self), .msg_iov = &word, .msg_iovlen = 1}};
    long flags = MSG_NOSIGNAL | MSG_FASTOPEN | more;

    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (call == SYS_sendmmsg)
        return past_filter(syscall(call, taken_over_listener(), &m, 1, flags));
    return past_filter(syscall(call, taken_over_listener(), &m.msg_hdr, flags));
}

static long fast_open_sendmsg(void)
{
    return connect_by_sendmsg(SYS_sendmsg, 0);
}

static long fast_open_sendmsg_longer(void)
{
    return connect_by_sendmsg(SYS_sendmsg, LONGER);
}

static long fast_open_sendmmsg(void)
{
    return connect_by_sendmsg(SYS_sendmmsg, 0);
}

static long set_option(int level, int option)
{
    static const int value = 1;
    return past_filter(
        syscall(SYS_setsockopt, taken_over_listener(), level, option, &value, sizeof(value)));
}

static long be_prompt(void)
{
    return set_option(IPPROTO_TCP, TCP_NODELAY);
}

static long connect_at_first_write(void)
{
    return set_option(IPPROTO_TCP, TCP_FASTOPEN_CONNECT);
}

static long take_fast_opens(void)
{
    return set_option(IPPROTO_TCP, TCP_FASTOPEN);
}

/* Nobody gets in who waits for our greeting. */
static long accept_who_speaks_first(void)
{
    return set_option(IPPROTO_TCP, TCP_DEFER_ACCEPT);
}

/* Nobody gets in at all (RFC 2385). */
static long ask_for_signatures(void)
{
    struct tcp_md5sig key = {.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX, .tcpm_keylen = 1};

    key.tcpm_addr.ss_family = AF_INET;
    return past_filter(syscall(SYS_setsockopt, taken_over_listener(), IPPROTO_TCP, TCP_MD5SIG_EXT,
                               &key, sizeof(key)));
}

static long repair(void)
{
    return set_option(IPPROTO_TCP, TCP_REPAIR);
}

static long change_protocol(void)
{
    return past_filter(
        syscall(SYS_setsockopt, taken_over_listener(), IPPROTO_TCP, TCP_ULP, "tls", 3));
}

static long mark(void)
{
    return set_option(SOL_SOCKET, SO_MARK);
}

static long attach_filter(int option)
{
    struct sock_filter drop_all = {BPF_RET | BPF_K, 0, 0, 0};
    struct sock_fprog program = {1, &drop_all};

    return past_filter(syscall(SYS_setsockopt, taken_over_listener(), SOL_SOCKET, option, &program,
                               sizeof(program)));
}

static long filter_packets(void)
{
    return attach_filter(SO_ATTACH_FILTER);
}

static long choose_listener(void)
{
    return attach_filter(SO_ATTACH_REUSEPORT_CBPF);
}

/* ---- descriptors ---- */

static long control(int command, long argument)
{
    return past_filter(syscall(SYS_fcntl, taken_over_listener(), command, argument));
}

/* The next smtpd would hang in accept4(). */
static long make_it_block(void)
{
    return control(F_SETFL, 0);
}

static long make_it_signal(void)
{
    return control(F_SETFL, O_ASYNC | O_NONBLOCK);
}

static long make_it_direct(void)
{
    return control(F_SETFL, O_DIRECT);
}

static long choose_who_is_signalled(void)
{
    return control(F_SETOWN, getppid());
}

static long choose_signal(void)
{
    return control(F_SETSIG, 9);
}

static long lease(void)
{
    return control(F_SETLEASE, F_RDLCK);
}

static long watch_folder(void)
{
    return control(F_NOTIFY, DN_ACCESS);
}

static long resize_pipe(void)
{
    return control(F_SETPIPE_SZ, 4096);
}

static long lock_bytes(void)
{
    struct flock lock = {.l_type = F_WRLCK};
    return control(F_SETLK, (long)&lock);
}

static long lock_open_file(void)
{
    struct flock lock = {.l_type = F_WRLCK};
    return control(F_OFD_SETLK, (long)&lock);
}

static long lock_file(void)
{
    return past_filter(syscall(SYS_flock, -1, LOCK_SH));
}

static long change_mode(void)
{
    return past_filter(syscall(SYS_fchmod, -1, 0777));
}

static long change_mode_at(void)
{
    return past_filter(syscall(SYS_fchmodat, AT_FDCWD, "/nowhere", 0777));
}

static long change_owner(void)
{
    return past_filter(syscall(SYS_fchown, -1, 0, 0));
}

static long change_times(void)
{
    return past_filter(syscall(SYS_utimensat, -1, NULL, NULL, 0));
}

static long change_attribute(void)
{
    return past_filter(syscall(SYS_fsetxattr, -1, "user.x", "x", 1, 0));
}

static long make_link(void)
{
    return past_filter(syscall(SYS_linkat, -1, "a", -1, "b", 0));
}

static long make_symbolic_link(void)
{
    return past_filter(syscall(SYS_symlinkat, "/etc/passwd", -1, "b"));
}

static long make_node(void)
{
    return past_filter(syscall(SYS_mknodat, -1, "b", S_IFIFO | 0600, 0));
}

static long ioctl_listener(void)
{
    int off = 0;
    return past_filter(syscall(SYS_ioctl, taken_over_listener(), FIONBIO, &off));
}

static long splice_log(void)
{
    return past_filter(syscall(SYS_splice, taken_over_listener(), NULL, LOG, NULL, 1, 0));
}

static long tee_log(void)
{
    return past_filter(syscall(SYS_tee, taken_over_listener(), LOG, 1, 0));
}

static long send_file(void)
{
    return past_filter(syscall(SYS_sendfile, LOG, taken_over_listener(), NULL, 1));
}

static long copy_range(void)
{
    return past_filter(syscall(SYS_copy_file_range, taken_over_listener(), NULL, LOG, NULL, 1, 0));
}

/* ---- the log, which may be a socket, a pipe or a file ---- */

static long end_log(void)
{
    return past_filter(syscall(SYS_shutdown, LOG, SHUT_WR));
}

static long end_log_longer(void)
{
    return past_filter(syscall(SYS_shutdown, LOG + LONGER, SHUT_WR));
}

/* systemd gives one socket for both. */
static long end_output(void)
{
    return past_filter(syscall(SYS_shutdown, STDOUT_FILENO, SHUT_WR));
}

static long option_of_log(void)
{
    static const int value = 1;
    return past_filter(
        syscall(SYS_setsockopt, LOG, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)));
}

static long flags_of_log(void)
{
    return past_filter(syscall(SYS_fcntl, LOG, F_SETFL, 0));
}

static long log_by_another_number(void)
{
    return past_filter(syscall(SYS_dup, LOG));
}

static long log_by_a_number_of_choice(void)
{
    return past_filter(syscall(SYS_fcntl, LOG, F_DUPFD_CLOEXEC, 100));
}

static long log_as_input(void)
{
    return past_filter(syscall(SYS_dup2, LOG, 100));
}

static long go_back_in_log(void)
{
    return past_filter(syscall(SYS_lseek, LOG, 0, SEEK_CUR));
}

static long cut_log(void)
{
    return past_filter(syscall(SYS_ftruncate, LOG, -1L));
}

static long punch_log(void)
{
    return past_filter(syscall(SYS_fallocate, LOG, 0, 0L, 0L));
}

static long overwrite_log(void)
{
    return past_filter(syscall(SYS_pwrite64, LOG, "", 0, 0L));
}

static long overwrite_log_by_parts(void)
{
    return past_filter(syscall(SYS_pwritev2, LOG, NULL, 0, 0L, 0L, 0));
}

enum { CONNECTS = 1 << SMTP | 1 << RESOLVER };

const struct act shared_acts[] = {
    {"shut down the listener", end_listener},
    {"shut down the listener's listening", end_listening},
    {"end its half of a connection", end_own_half, 1 << SMTPD},
    {"send to a name", send_to_name, 1 << RESOLVER},
    {"connect by sendto", fast_open_sendto, 1 << RESOLVER},
    {"connect by sendto with a longer flag", fast_open_sendto_longer, 1 << RESOLVER},
    {"connect by sendto without a name", fast_open_unnamed, CONNECTS},
    {"connect by sendmsg", fast_open_sendmsg, CONNECTS},
    {"connect by sendmsg with a longer flag", fast_open_sendmsg_longer, CONNECTS},
    {"connect by sendmmsg", fast_open_sendmmsg, 1 << RESOLVER},
    {"have small packets sent", be_prompt, CONNECTS | 1 << SMTPD},
    {"connect at the first write", connect_at_first_write},
    {"take fast opens", take_fast_opens},
    {"accept who speaks first", accept_who_speaks_first},
    {"ask clients for signatures", ask_for_signatures},
    {"repair a connection", repair},
    {"change the protocol", change_protocol},
    {"mark packets", mark},
    {"filter packets", filter_packets},
    {"choose who accepts", choose_listener},
    {"make a socket block", make_it_block, 1 << RESOLVER},
    {"have signals sent", make_it_signal},
    {"go past the page cache", make_it_direct, 1 << QUEUE},
    {"choose who gets signals", choose_who_is_signalled},
    {"choose the signal", choose_signal},
    {"lease a file", lease},
    {"watch a folder", watch_folder},
    {"resize a pipe", resize_pipe},
    {"lock bytes", lock_bytes, 1 << BOOK},
    {"lock an open file", lock_open_file, 1 << BOOK},
    {"lock a file", lock_file, 1 << QUEUE},
    {"change a mode", change_mode},
    {"change a mode by a path", change_mode_at},
    {"change an owner", change_owner},
    {"change times", change_times},
    {"change an attribute", change_attribute},
    {"make a link", make_link, 1 << MAILBOX},
    {"make a symbolic link", make_symbolic_link},
    {"make a node", make_node},
    {"make a socket block by ioctl", ioctl_listener},
    {"splice", splice_log},
    {"tee", tee_log},
    {"send a file", send_file},
    {"copy a range", copy_range},
    {"shut down the log", end_log},
    {"shut down the log by a longer number", end_log_longer},
    {"shut down the output", end_output},
    {"set an option of the log", option_of_log},
    {"set flags of the log", flags_of_log},
    {"get the log under another number", log_by_another_number},
    {"get the log under a number of its choice", log_by_a_number_of_choice},
    {"get the log under a number by dup2", log_as_input},
    {"go back in the log", go_back_in_log},
    {"cut the log", cut_log},
    {"punch holes into the log", punch_log},
    {"overwrite the log", overwrite_log},
    {"overwrite the log by parts", overwrite_log_by_parts},
};
const size_t shared_act_count = sizeof(shared_acts) / sizeof(*shared_acts);
