#include "proc/smtp/race.h"

#include "base/fd.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void walk_on(struct smtp_race *race);

static void free_attempt(struct smtp_attempt *a)
{
    if (a->fd < 0)
        return;
    io_watch_free(a->watch);
    close(a->fd);
    a->fd = -1;
}

bool smtp_race_is_our_own(int error)
{
    return fd_is_shortage(error) || error == ENOBUFS;
}

static void free_attempts(struct smtp_race *race)
{
    for (size_t i = 0; i < ARRAY_SIZE(race->attempts); i++)
        free_attempt(&race->attempts[i]);
}

/* With the next host our own trouble would be the same. */
static void failed(struct smtp_race *race, size_t target, int error)
{
    race->owner->failed(race, target, error);
    if (smtp_race_is_our_own(error))
        smtp_walk_stop(&race->walk);
    smtp_walk_failed(&race->walk, target);
}

/* ---- one attempt ---- */

/* The race settles before the owner is told: he may free it. */
static void connected(struct smtp_attempt *a)
{
    struct smtp_race *race = a->race;
    int fd = a->fd;

    io_watch_free(a->watch);
    a->fd = -1;
    smtp_walk_connected(&race->walk, a->target);
    free_attempts(race);
    walk_on(race); /* the losers are dropped */
    /* Each turn writes all that it has: Nagle's algorithm would only hold back the last command. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    race->owner->connected(race, a->target, fd);
}

/* A socket that is writable has connected or failed: SO_ERROR says which, and clears it. */
static void on_connect(void *arg, int fd, unsigned events)
{
    struct smtp_attempt *a = arg;
    struct smtp_race *race = a->race;
    int error = 0;
    socklen_t size = sizeof(error);

    race->proc->now_ms = io_loop_now_ms(race->proc->process.loop);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error == 0) {
        connected(a);
        return;
    }
    failed(race, a->target, error);
    free_attempt(a);
    walk_on(race);
}

static socklen_t fill_address(const struct smtp_target *t, struct sockaddr_storage *out)
{
    struct dns_ip ip;

    memcpy(ip.bytes, t->ip, sizeof(ip.bytes));
    *out = (struct sockaddr_storage){0};
    if (ip_is_v4(ip.bytes)) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(t->port);
        memcpy(&v4->sin_addr, t->ip + 12, 4);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(t->port);
    memcpy(&v6->sin6_addr, t->ip, sizeof(v6->sin6_addr));
    return sizeof(*v6);
}

/* 0: under way (or done: the socket is writable then), else errno. */
static int begin_attempt(struct smtp_attempt *a, size_t target)
{
    struct sockaddr_storage address;
    socklen_t size = fill_address(smtp_race_target(a->race, target), &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return error;
    }
    if (io_watch_new(a->race->proc->process.loop, fd, on_connect, a, &a->watch) < 0) {
        close(fd);
        return ENOMEM;
    }
    a->fd = fd;
    a->target = target;
    io_watch_set(a->watch, IO_WRITE);
    return 0;
}

/* ---- the walk ---- */

/* There is a free place: the walk has no more than SMTP_WALK_RACE_MAX under way. */
static void start_connecting(struct smtp_race *race, size_t target)
{
    size_t i = 0;

    if (race->owner->leaves_out(race, smtp_race_target(race, target))) {
        smtp_walk_failed(&race->walk, target);
        return;
    }
    while (i + 1 < ARRAY_SIZE(race->attempts) && race->attempts[i].fd >= 0)
        i++;
    int error = begin_attempt(&race->attempts[i], target);
    if (error)
        failed(race, target, error);
}

/* ETIMEDOUT, as the kernel would say after minutes. */
static void drop_target(struct smtp_race *race, size_t target)
{
    for (size_t i = 0; i < ARRAY_SIZE(race->attempts); i++) {
        struct smtp_attempt *a = &race->attempts[i];
        if (a->fd < 0 || a->target != target)
            continue;
        race->owner->failed(race, target, ETIMEDOUT);
        free_attempt(a);
    }
}

/* The walk knows the rules (smtp/client/walk.h), this file the sockets. The last line may free the
 * race. */
static void walk_on(struct smtp_race *race)
{
    int64_t now_ms = race->proc->now_ms, due_ms;
    enum smtp_walk_act act;
    size_t target;

    while ((act = smtp_walk_step(&race->walk, now_ms, &target)) == SMTP_WALK_CONNECT ||
           act == SMTP_WALK_DROP)
        if (act == SMTP_WALK_CONNECT)
            start_connecting(race, target);
        else
            drop_target(race, target);
    due_ms = smtp_walk_due_ms(&race->walk);
    if (due_ms == INT64_MAX)
        io_timer_clear(race->timer);
    else
        io_timer_set(race->timer, due_ms > now_ms ? due_ms - now_ms : 0);
    if (act == SMTP_WALK_OVER)
        race->owner->over(race);
}

static void on_timer(void *arg)
{
    struct smtp_race *race = arg;

    race->proc->now_ms = io_loop_now_ms(race->proc->process.loop);
    walk_on(race);
}

void smtp_race_init(struct smtp_race *race, struct smtp_proc *proc,
                    const struct smtp_race_owner *owner)
{
    race->proc = proc;
    race->owner = owner;
    for (size_t i = 0; i < ARRAY_SIZE(race->attempts); i++)
        race->attempts[i] = (struct smtp_attempt){.race = race, .fd = -1};
}

void smtp_race_done(struct smtp_race *race)
{
    free_attempts(race);
    io_timer_free(race->timer);
    race->timer = NULL;
}

int smtp_race_begin(struct smtp_race *race, const struct smtp_target *targets, size_t count)
{
    int r = io_timer_new(race->proc->process.loop, on_timer, race, &race->timer);

    if (r < 0)
        return r;
    smtp_walk_init(&race->walk, targets, count);
    walk_on(race);
    return 0;
}

void smtp_race_go_on(struct smtp_race *race, size_t target)
{
    smtp_walk_failed(&race->walk, target);
    walk_on(race);
}
