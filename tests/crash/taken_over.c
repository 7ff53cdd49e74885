/*
 * A deliberately taken-over process: it starts as the real one of its name does, enters the real
 * one's sandbox, and then tries whatever somebody who runs code in it would try. One line each on
 * standard error:
 *
 *   taken-over smtpd: refused: open /etc/passwd: Operation not permitted
 *   taken-over smtpd: ALLOWED: …
 *   taken-over smtp: may: make a TCP socket         it needs that
 *   taken-over smtp: MISSES: …                      it would need that
 *   taken-over smtpd: done, 30 acts
 *
 * tests/lab/test_sandbox.py starts a server with this program in the place of several processes.
 */
#include "taken_over.h"
#include "lies.h"

#include "base/log.h"
#include "proc/book/sandbox.h"
#include "proc/common/process.h"
#include "proc/directory/sandbox.h"
#include "proc/mailbox/sandbox.h"
#include "proc/queue/sandbox.h"
#include "proc/report/sandbox.h"
#include "proc/resolver/sandbox.h"
#include "proc/smtp/sandbox.h"
#include "proc/smtpd/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static pid_t supervisor_pid;
static int listener_fd = -1, spool_fd = -1;

int taken_over_listener(void)
{
    return listener_fd;
}

static long open_file(const char *path, int flags)
{
    return syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static long read_users(void)
{
    return open_file("/etc/passwd", O_RDONLY);
}

static long read_own_memory(void)
{
    return open_file("/proc/self/mem", O_RDWR);
}

static long read_supervisor_memory(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)supervisor_pid);
    return open_file(path, O_RDONLY);
}

static long list_spool(void)
{
    return open_file(getenv("TAKEN_OVER_SPOOL") ?: "/var/spool", O_RDONLY | O_DIRECTORY);
}

/* Out of its root directory, if it has one: the folder may lie elsewhere. */
static long leave_by_spool(void)
{
    return syscall(SYS_openat, spool_fd, "../../../../../../etc/passwd", O_RDONLY);
}

static long create_file(void)
{
    return open_file("/tmp/taken-over", O_CREAT | O_WRONLY);
}

static long open2_file(void)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {.flags = O_RDONLY};
    return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof(how));
}

static long remove_file(void)
{
    return syscall(SYS_unlinkat, AT_FDCWD, "/tmp/taken-over-victim", 0);
}

static long stat_file(void)
{
    char buf[256];
    return syscall(SYS_newfstatat, AT_FDCWD, "/", buf, 0);
}

static long list_folder(void)
{
    char buf[256];
    return syscall(SYS_getdents64, listener_fd, buf, sizeof(buf));
}

static long make_tcp_socket(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long make_udp_socket(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
}

static long make_unix_socket(void)
{
    return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static long make_netlink_socket(void)
{
    return syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
}

static long make_raw_socket(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static long make_ping_socket(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}

static long make_other_stream(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 262 /* MPTCP */);
}

/* A port of its own, to be reached from outside. */
static long listen_for_others(void)
{
    long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    return syscall(SYS_listen, fd < 0 ? listener_fd : fd, 5);
}

static long block_who_closes(void)
{
    struct linger linger = {1, 3600};
    return syscall(SYS_setsockopt, listener_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* The listener is a socket that it has: turn it into a way out. */
static long connect_out(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(25), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return syscall(SYS_connect, listener_fd, &to, sizeof(to));
}

static long bind_port(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return syscall(SYS_bind, listener_fd, &to, sizeof(to));
}

static long make_pair(void)
{
    int fds[2];
    return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds);
}

static long run_shell(void)
{
    char *argv[] = {"sh", "-c", "echo taken-over: ALLOWED: a shell ran >&2", NULL};
    return syscall(SYS_execve, "/bin/sh", argv, NULL);
}

static long run_shell_at(void)
{
    char *argv[] = {"sh", NULL};
    return syscall(SYS_execveat, AT_FDCWD, "/bin/sh", argv, NULL, 0);
}

static long fork_process(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long trace_supervisor(void)
{
    return syscall(SYS_ptrace, PTRACE_ATTACH, supervisor_pid, 0, 0);
}

static long read_process_memory(void)
{
    char buf[16];
    struct iovec to = {buf, sizeof(buf)}, from = {(void *)0x400000, sizeof(buf)};
    return syscall(SYS_process_vm_readv, supervisor_pid, &to, 1, &from, 1, 0);
}

static long signal_supervisor(void)
{
    return syscall(SYS_kill, supervisor_pid, 0);
}

static long signal_all(void)
{
    return syscall(SYS_kill, -1, 0);
}

static long signal_thread(void)
{
    return syscall(SYS_tgkill, supervisor_pid, supervisor_pid, 0);
}

static long open_pidfd(void)
{
    return syscall(SYS_pidfd_open, supervisor_pid, 0);
}

static long become_root(void)
{
    return syscall(SYS_setuid, 0);
}

static long change_root(void)
{
    return syscall(SYS_chroot, "/");
}

static long mount_something(void)
{
    return syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL);
}

static long new_namespace(void)
{
    return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long map_code(void)
{
    return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long make_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
}

static long make_memory_file(void)
{
    return syscall(SYS_memfd_create, "x", 0);
}

static long use_io_uring(void)
{
    char params[256] = {0};
    return syscall(SYS_io_uring_setup, 4, params);
}

static long load_bpf(void)
{
    char attributes[128] = {0};
    return syscall(SYS_bpf, 0, attributes, sizeof(attributes));
}

static long use_keyring(void)
{
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0);
}

static long raise_limits(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    return syscall(SYS_prlimit64, 0, RLIMIT_NPROC, &limit, NULL);
}

static long become_dumpable(void)
{
    return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* One thread, started where the process starts its own. */
static sem_t thread_may, thread_has;
static long thread_result;
static int thread_error;

static void *thread_acts(void *arg)
{
    sem_wait(&thread_may);
    thread_result = read_users();
    thread_error = errno;
    sem_post(&thread_has);
    return NULL;
}

static int start_thread(void *arg)
{
    pthread_t thread;

    if (sem_init(&thread_may, 0, 0) < 0 || sem_init(&thread_has, 0, 0) < 0)
        return -errno;
    return -pthread_create(&thread, NULL, thread_acts, NULL);
}

static long read_users_on_thread(void)
{
    sem_post(&thread_may);
    sem_wait(&thread_has);
    errno = thread_error;
    return thread_result;
}

static void enter_mailbox(const struct process *process)
{
    static struct mailbox_roots none;
    mailbox_sandbox_enter(process, &none, start_thread, NULL);
}

static void enter_resolver(const struct process *process)
{
    resolver_sandbox_enter(process, start_thread, NULL);
}

static void enter_queue(const struct process *process)
{
    spool_fd = open(getenv("TAKEN_OVER_SPOOL") ?: ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    queue_sandbox(process, spool_fd, start_thread, NULL);
}

static void enter_book(const struct process *process)
{
    int ledger_fd = open(getenv("TAKEN_OVER_LEDGER") ?: ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    spool_fd = open(getenv("TAKEN_OVER_SPOOL") ?: ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (book_sandbox_enter(process, spool_fd, ledger_fd, start_thread, NULL) < 0)
        log_fatal("no sandbox");
}

static const struct {
    const char *name;
    void (*enter)(const struct process *process);
} roles[] = {
    [SMTPD] = {"smtpd", smtpd_sandbox_enter},
    [SMTP] = {"smtp", smtp_sandbox_enter},
    [RESOLVER] = {"resolver", enter_resolver},
    [REPORT] = {"report", report_sandbox_enter},
    [DIRECTORY] = {"directory", directory_sandbox_enter},
    [MAILBOX] = {"mailbox", enter_mailbox},
    [QUEUE] = {"queue", enter_queue},
    [BOOK] = {"book", enter_book},
};

static enum role role;

enum {
    HAS_FILES = 1 << MAILBOX | 1 << QUEUE | 1 << BOOK,
    HAS_NO_THREAD = 1 << SMTPD | 1 << SMTP | 1 << REPORT | 1 << DIRECTORY,
};

static const struct act acts[] = {
    {"open /etc/passwd", read_users},
    {"open /etc/passwd by openat2", open2_file},
    {"open its own memory", read_own_memory},
    {"open the supervisor's memory", read_supervisor_memory},
    {"open /etc/passwd on a thread", read_users_on_thread, .owns = HAS_NO_THREAD},
    {"open /etc/passwd by way of the spool", leave_by_spool},
    {"open the spool", list_spool, .owns = 1 << QUEUE | 1 << BOOK},
    {"create a file", create_file},
    {"remove a file", remove_file},
    {"stat a file", stat_file, HAS_FILES},
    {"list a folder", list_folder},
    {"make a TCP socket", make_tcp_socket, 1 << SMTP | 1 << RESOLVER},
    {"make a UDP socket", make_udp_socket, 1 << RESOLVER},
    {"make a Unix socket", make_unix_socket},
    {"make a netlink socket", make_netlink_socket},
    {"make a raw socket", make_raw_socket},
    {"make a socket for pings", make_ping_socket},
    {"make another kind of stream", make_other_stream},
    {"listen", listen_for_others},
    {"block who closes a socket", block_who_closes},
    {"make a pair of sockets", make_pair},
    {"connect", connect_out},
    {"bind", bind_port},
    {"execute /bin/sh", run_shell},
    {"execute /bin/sh by execveat", run_shell_at},
    {"fork", fork_process},
    {"trace the supervisor", trace_supervisor},
    {"read the supervisor's memory", read_process_memory},
    {"signal the supervisor", signal_supervisor},
    {"signal all processes", signal_all},
    {"signal another thread", signal_thread},
    {"open a handle of the supervisor", open_pidfd},
    {"become root", become_root},
    {"change the root directory", change_root},
    {"mount", mount_something},
    {"make a namespace", new_namespace},
    {"map executable memory", map_code},
    {"make memory executable", make_code},
    {"make a memory file", make_memory_file},
    {"use io_uring", use_io_uring},
    {"load BPF", load_bpf},
    {"use keyrings", use_keyring},
    {"raise its limits", raise_limits},
    {"become dumpable", become_dumpable},
};

static int configure(struct process *process, struct span part)
{
    return 0;
}

static int take_listener(struct process *process, struct span name, struct span service, int fd)
{
    listener_fd = fd;
    return 0;
}

/* The descriptor stays open: it would be another way out. */
static int take_peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    return role == SMTPD ? lies_peer(process, kind, fd, listener_fd) : 0;
}

static unsigned tried;

static void try(const struct act *act)
{
    const char *name = roles[role].name;
    bool may = act->may & 1u << role;

    if (act->owns & 1u << role)
        return;
    long r = act->act();

    if (r < 0)
        fprintf(stderr, "taken-over %s: %s: %s: %s\n", name, may ? "MISSES" : "refused", act->what,
                strerror(errno));
    else
        fprintf(stderr, "taken-over %s: %s: %s\n", name, may ? "may" : "ALLOWED", act->what);
    tried++;
}

static int act_out(struct process *process)
{
    roles[role].enter(process);
    tried = 0;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        try(&acts[i]);
    for (size_t i = 0; i < shared_act_count; i++)
        try(&shared_acts[i]);
    fprintf(stderr, "taken-over %s: done, %u acts\n", roles[role].name, tried);
    return 0;
}

static void shut_down(struct process *process)
{
    process_exit(process, 0);
}

static int take_file(struct process *process, struct span name, int fd)
{
    return 0;
}

/* The supervisor calls it by the name of the process that it stands for. */
int main(int argc, char **argv)
{
    static const struct process_spec spec = {.name = "taken-over",
                                             .configure = configure,
                                             .file = take_file,
                                             .listener = take_listener,
                                             .start = act_out,
                                             .reload = act_out,
                                             .peer = take_peer,
                                             .shutdown = shut_down};
    static struct process process;

    for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
        if (argc > 0 && strcmp(argv[0], roles[i].name) == 0)
            role = (enum role)i;
    supervisor_pid = getppid();
    return process_main(&process, &spec);
}
