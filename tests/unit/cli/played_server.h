/* A process that plays the server on a control socket, one connection after another. What it
 * answers with it got when it was started: it is a copy of the test. */
#pragma once

#include "ipc/channel.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct played_server {
    struct sockaddr_un address;
    pid_t pid;
};

static inline void played_server_lost(void *owner, struct ipc_channel *channel, int error)
{
    ipc_channel_free(channel);
}

struct played_server_end {
    struct io_loop *loop;
    const struct ipc_role *role;
};

static inline void played_server_accept(void *arg, int listener, unsigned events)
{
    struct played_server_end *end = arg;
    struct ipc_channel *channel;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 || ipc_channel_new(end->loop, fd, end->role, end, &channel) < 0)
        _exit(1);
}

static inline void played_server_serve(int listener, const struct ipc_role *role)
{
    struct played_server_end end = {.role = role};
    struct io_watch *watch;

    if (io_loop_new(&end.loop) == 0 &&
        io_watch_new(end.loop, listener, played_server_accept, &end, &watch) == 0 &&
        io_watch_set(watch, IO_READ) == 0)
        io_loop_run(end.loop);
    _exit(1);
}

/* `role` has played_server_lost(). */
static inline void played_server_start(struct played_server *s, const char *path,
                                       const struct ipc_role *role)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *s = (struct played_server){.address.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(s->address.sun_path));
    strcpy(s->address.sun_path, path);
    assert_int_equal(bind(listener, (struct sockaddr *)&s->address, sizeof(s->address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    fflush(stdout);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0)
        played_server_serve(listener, role);
    close(listener);
}

static inline void played_server_stop(struct played_server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    unlink(s->address.sun_path);
}
