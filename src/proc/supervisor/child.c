/*
 * One child: started with a channel as its descriptor 3, told its part, joined to its peers.
 * Whatever ends it, SIGCHLD tells; then it is started again after a pause that doubles with
 * each failure and is forgotten by who ran well for a minute.
 *
 *   pause ──its time──▶ starting (pid, channel) ──"ready"──▶ ready
 *     ▲                    │                                  │
 *     └────────────────────┴─────────── SIGCHLD ──────────────┘
 *
 * Also back to the pause: no process could be made. Who can't be sent its part or peers is killed,
 * and so is whose loop hangs (watchdog.c). When we are stopping SIGCHLD is the end.
 */
#include "proc/supervisor/supervisor.h"

#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHANNEL_FD = 3,
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 30000,
    ERRNO_MAX = 4095,
    HEALTHY_MS = 60000, /* who ran this long starts again with the first pause */
};

bool child_is_running(const struct child *child)
{
    return child->pid != 0;
}

/* The executable: under --libexec, beside us in a build tree, or where it was installed. */
static int find_executable(const struct child *child, char out[static PATH_MAX])
{
    const char *name = ipc_peer_name(child->kind->peer);
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (child->supervisor->libexec) {
        snprintf(out, PATH_MAX, "%s/%s", child->supervisor->libexec, name);
        return 0;
    }
    if (size < 0)
        return -errno;
    self[size] = '\0';
    const char *folder = dirname(self);
    if (snprintf(out, PATH_MAX, "%s/../%s/%s", folder, name, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (access(out, X_OK) == 0)
        return 0;
    if (snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    return 0;
}

/* In the child. Nothing of the supervisor's but the channel goes along: descriptors above it are
 * closed, whatever a library may have opened. */
static void run_executable(const char *path, const char *name, int fd)
{
    char *const argv[] = {(char *)name, NULL};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(fd, CHANNEL_FD) < 0 || close_range(CHANNEL_FD + 1, ~0U, 0) < 0)
        _exit(127);
    execv(path, argv);
    log_fatal("%s: %m", path);
}

/* Both ends are non-blocking and larger than the default, so that a burst needs few turns. */
static int make_pair(int fds[static 2])
{
    const int bytes = 1 << 20;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    return 0;
}

/* ---- what it says ---- */

/* A process that was taken over may say any number. */
static int why_kept(int32_t error)
{
    return error == 0 || (error < 0 && error >= -ERRNO_MAX) ? error : -EIO;
}

static void on_ready(void *owner, const struct ipc_arrival *arrival)
{
    struct child *child = owner;

    child->ready = true;
    child->kept = why_kept(arrival->message->ready.error);
    child->has_one = child->has_one || !child->kept;
    if (child->kept)
        log_error("%s[%d] %s: %s", ipc_peer_name(child->kind->peer), child->pid,
                  child->has_one ? "goes on with the configuration before"
                                 : "does without a part of its configuration",
                  strerror(-child->kept));
    if (child->untaken)
        child->untaken--;
    readiness_look(child->supervisor);
    reload_look(child->supervisor);
}

static struct asker asker_of(struct child *child, uint64_t token)
{
    return (struct asker){child, child->starts, token};
}

void asker_answer(const struct asker *asker, const struct ipc_message *reply)
{
    if (asker->child->channel && asker->child->starts == asker->starts)
        ipc_reply(asker->child->channel, asker->token, reply);
}

static void on_reload(void *owner, const struct ipc_arrival *arrival)
{
    struct child *child = owner;
    struct asker asker = asker_of(child, arrival->token);

    reload_begin(child->supervisor, &asker);
}

static void on_status_ask(void *owner, const struct ipc_arrival *arrival)
{
    struct child *child = owner;
    struct asker asker = asker_of(child, arrival->token);

    status_gather(child->supervisor, &asker);
}

/* Its end is told by SIGCHLD; a channel that it broke makes it unusable at once. */
static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct child *child = owner;

    if (error && child->pid) {
        log_error("%s[%d] broke its channel, ending it", ipc_peer_name(child->kind->peer),
                  child->pid);
        kill(child->pid, SIGKILL);
    }
}

static const struct ipc_handler any_handlers[] = {{IPC_READY, on_ready}};
static const struct ipc_handler queue_handlers[] = {
    {IPC_READY, on_ready}, {IPC_RELOAD, on_reload}, {IPC_STATUS_ASK, on_status_ask}};

static const struct ipc_role *role_of(const struct child *child)
{
    static struct ipc_role roles[IPC_PEER_COUNT];
    struct ipc_role *role = &roles[child->kind->peer];
    bool is_queue = child->kind->peer == IPC_PEER_QUEUE;

    *role = (struct ipc_role){.peer_name = ipc_peer_name(child->kind->peer),
                              .handlers = is_queue ? queue_handlers : any_handlers,
                              .handler_count =
                                  is_queue ? ARRAY_SIZE(queue_handlers) : ARRAY_SIZE(any_handlers),
                              .lost = on_lost};
    return role;
}

int child_hear(struct child *child, int fd)
{
    return ipc_channel_new(child->supervisor->loop, fd, role_of(child), child, &child->channel);
}

/* ---- start ---- */

/* fork() and execv(): the child begins with an address space of its own layout, which the others
 * can't know. */
static int spawn(struct child *child)
{
    char path[PATH_MAX];
    int fds[2];

    int r = find_executable(child, path);
    if (r == 0)
        r = make_pair(fds);
    if (r < 0)
        return r;
    child->pid = fork();
    if (child->pid == 0)
        run_executable(path, ipc_peer_name(child->kind->peer), fds[1]);
    r = child->pid < 0 ? -errno : 0;
    close(fds[1]);
    if (r == 0)
        r = child_hear(child, fds[0]);
    else
        child->pid = 0;
    if (r < 0)
        close(fds[0]);
    return r;
}

static int send_link(struct child *to, const struct child *peer, int fd)
{
    struct ipc_message message = {.type = IPC_PEER,
                                  .peer = {.kind = (uint8_t)peer->kind->peer,
                                           .index = (uint16_t)peer->index,
                                           .origin = peer->origin}};
    return ipc_notify_fd(to->channel, &message, fd);
}

/* A fresh pair of sockets, an end for each: what was said over an old one is lost
 * with its process. */
static int join(struct child *a, struct child *b)
{
    int fds[2];
    int r = make_pair(fds);

    if (r < 0)
        return r;
    r = send_link(a, b, fds[0]);
    if (r == 0)
        r = send_link(b, a, fds[1]);
    close(fds[0]);
    close(fds[1]);
    /* One of the two is just ending: it is joined anew when it starts again. */
    return r == -EPIPE ? 0 : r;
}

static int join_peers(struct child *child)
{
    struct supervisor *s = child->supervisor;
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->child_count; i++) {
        struct child *other = &s->children[i];
        if (other != child && other->channel && !other->stopping &&
            kinds_are_linked(child->kind->peer, other->kind->peer))
            r = join(child, other);
    }
    return r;
}

/* The pause doubles up to half a minute: who ends at once must not keep the machine busy, and is
 * back soon when the cause is gone. */
static void restart_later(struct child *child)
{
    bool was_told = child->pause_ms == PAUSE_MAX_MS;

    if (io_loop_now_ms(child->supervisor->loop) - child->started_ms > HEALTHY_MS)
        child->pause_ms = 0;
    child->pause_ms = child->pause_ms ? child->pause_ms * 2 : PAUSE_FIRST_MS;
    if (child->pause_ms > PAUSE_MAX_MS) {
        child->pause_ms = PAUSE_MAX_MS;
        if (!was_told)
            log_error("ALARM: %s ends again and again, and is started every %d s",
                      ipc_peer_name(child->kind->peer), PAUSE_MAX_MS / 1000);
    }
    io_timer_set(child->restart, child->pause_ms);
}

void child_start(struct child *child)
{
    child->ready = false;
    child->started_ms = io_loop_now_ms(child->supervisor->loop);
    int r = spawn(child);
    if (r == 0) {
        child->starts++;
        r = part_send(child);
    }
    if (r == 0)
        r = join_peers(child);
    if (r == 0)
        return;
    log_error("can't start %s: %s", ipc_peer_name(child->kind->peer), strerror(-r));
    if (child->pid)
        kill(child->pid, SIGKILL); /* its end starts it again */
    else
        restart_later(child);
}

/* ---- end ---- */

void child_ended(struct child *child, int status)
{
    const char *name = ipc_peer_name(child->kind->peer);

    if (child->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        log_debug("%s[%d] ended", name, child->pid);
    else if (WIFSIGNALED(status))
        log_error("%s[%d] was killed by signal %d (%s)", name, child->pid, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0) /* it has said why */
        log_info("%s[%d] ended in order, and is started again", name, child->pid);
    else
        log_error("%s[%d] exited with status %d", name, child->pid, WEXITSTATUS(status));
    child->pid = 0;
    child->ready = false;
    child->untaken = 0;
    child->unsent = 0;
    child->kept = 0;
    child->has_one = false;
    child->resend_in = child->resend_pause = 0;
    child->silent = 0;
    ipc_channel_free(child->channel);
    child->channel = NULL;
    if (!child->stopping)
        restart_later(child);
    reload_look(child->supervisor);
}

void child_stop(struct child *child)
{
    struct ipc_message message = {.type = IPC_SHUTDOWN};

    child->stopping = true;
    io_timer_clear(child->restart);
    if (child->channel && ipc_notify(child->channel, &message) < 0)
        kill(child->pid, SIGKILL);
}
