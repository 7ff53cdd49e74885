/*
 * A small first read, and twice as much whenever that wasn't all: most channels never need more. A
 * buffer that can't grow is read into as far as it goes.
 */
#include "ipc/input.h"

#include "ipc/channel.h"
#include "ipc/output.h"
#include <errno.h>
#include <unistd.h>

enum {
    READ_FIRST_BYTES = 16 * 1024,
    READ_BYTES = 256 * 1024, /* a turn's worth of small frames */
};

int ipc_input_init(struct ipc_input *in)
{
    *in = (struct ipc_input){.read_bytes = READ_FIRST_BYTES};
    return buffer_reserve(&in->bytes, READ_FIRST_BYTES) ? 0 : -ENOMEM;
}

/* Without an error that stays when there is no memory: there may be some the next time. */
static bool reserve(struct ipc_input *in, size_t size)
{
    bool is_there = buffer_reserve(&in->bytes, size) != NULL;

    in->bytes.error = 0;
    return is_there;
}

void ipc_input_expect(struct ipc_input *in, size_t size)
{
    if (size > in->bytes.size)
        reserve(in, size - in->bytes.size);
}

/* What is too much is closed, and missed later: then a frame has no descriptor, which ends the
 * channel. */
static void collect_fds(struct ipc_input *in, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (in->fd_count < IPC_FDS_EARLY_MAX)
                in->fds[in->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static ssize_t receive(int socket, struct msghdr *msg, const struct ipc_role *role)
{
    ssize_t size;

    if (role->fd_room)
        role->fd_room(true);
    do
        size = recvmsg(socket, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    int error = errno;
    if (role->fd_room)
        role->fd_room(false);
    if (size < 0)
        return error == EWOULDBLOCK ? -EAGAIN : -error;
    return size;
}

/* Without takes_fds there is no room for descriptors, and the kernel drops what comes: a peer that
 * may send none can't make us hold any. */
ssize_t ipc_input_receive(struct ipc_input *in, int socket, const struct ipc_role *role)
{
    union ipc_fds_control control;
    size_t room = in->bytes.capacity - in->bytes.size;

    if (room < in->read_bytes / 2 && reserve(in, in->read_bytes))
        room = in->read_bytes;
    if (!room)
        return -ENOMEM;
    struct iovec part = {in->bytes.data + in->bytes.size, room};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    if (role->takes_fds) {
        msg.msg_control = control.data;
        msg.msg_controllen = sizeof(control.data);
    }
    ssize_t size = receive(socket, &msg, role);
    if (size < 0)
        return size;
    if (role->takes_fds)
        collect_fds(in, &msg);
    /* Some were dropped: we have too many open, or the peer sent more than one of us does. What
     * comes next would go to the wrong frames: a client would pass for another. */
    if (role->takes_fds && (msg.msg_flags & MSG_CTRUNC))
        return -EMFILE;
    in->bytes.size += (size_t)size;
    if ((size_t)size == room && in->read_bytes < READ_BYTES)
        in->read_bytes *= 2;
    return size;
}

int ipc_input_take_fd(struct ipc_input *in, int *out)
{
    if (!in->fd_count)
        return -EPROTO;
    *out = in->fds[0];
    in->fd_count--;
    memmove(in->fds, in->fds + 1, in->fd_count * sizeof(in->fds[0]));
    return 0;
}

void ipc_input_done(struct ipc_input *in)
{
    for (size_t i = 0; i < in->fd_count; i++)
        close(in->fds[i]);
    in->fd_count = 0;
    buffer_done(&in->bytes);
}
