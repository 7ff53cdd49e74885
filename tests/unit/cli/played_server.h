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
    io_loop_stop(owner);
}

static inline void played_server_serve(int listener, const struct ipc_role *role)
{
    struct ipc_channel *channel;
    struct io_loop *loop;

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 || io_loop_new(&loop) < 0 || ipc_channel_new(loop, fd, role, loop, &channel) < 0)
            _exit(1);
        io_loop_run(loop);
        ipc_channel_free(channel);
        io_loop_free(loop);
    }
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
