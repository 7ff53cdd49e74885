/*
 * Several frames' descriptors go in one system call, and headers are looked at a second time when
 * their frames leave: that is how replies are counted without a list of them.
 */
#include "ipc/output.h"

#include "ipc/channel.h"
#include "ipc/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { FDS_LENT_MAX = 64 }; /* that wait to be sent: who lends waits then */

/* For one more descriptor. 0, -EAGAIN or -ENOMEM. */
static int make_fd_room(struct ipc_output *out, bool lent)
{
    size_t room = out->fd_room ? 2 * out->fd_room : IPC_FDS_AT_ONCE;

    if (out->fd_count >= (lent ? FDS_LENT_MAX : IPC_FDS_MAX))
        return -EAGAIN;
    if (out->fd_count < out->fd_room)
        return 0;
    struct ipc_passenger *larger = reallocarray(out->fds, room, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    out->fds = larger;
    out->fd_room = room;
    return 0;
}

int ipc_output_add(struct ipc_output *out, const struct ipc_message *message, uint64_t token,
                   int fd, bool lent)
{
    int r = fd >= 0 ? make_fd_room(out, lent) : 0;
    size_t before = out->bytes.size;

    if (r == 0)
        r = ipc_frame_encode(message, token, fd >= 0, &out->bytes);
    if (r < 0)
        return r;
    if (out->bytes.size - before > IPC_FRAME_MAX) {
        out->bytes.size = before;
        return -EMSGSIZE;
    }
    if (fd >= 0)
        out->fds[out->fd_count++] =
            (struct ipc_passenger){.at = out->base + before, .fd = fd, .lent = lent};
    out->replies += ipc_row(message->type)->is_reply;
    return 0;
}

/* Drops the first `count` of those that wait to be sent; closes what isn't lent. */
static void forget_fds(struct ipc_output *out, size_t count)
{
    if (count == 0)
        return; /* perhaps there are none at all */
    for (size_t i = 0; i < count; i++)
        if (!out->fds[i].lent)
            close(out->fds[i].fd);
    out->fd_count -= count;
    memmove(out->fds, out->fds + count, out->fd_count * sizeof(out->fds[0]));
}

static void attach_fds(const struct ipc_output *out, size_t count, union ipc_fds_control *control,
                       struct msghdr *msg)
{
    msg->msg_control = control->data;
    msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
    *cmsg = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                             .cmsg_type = SCM_RIGHTS,
                             .cmsg_len = CMSG_LEN(count * sizeof(int))};
    for (size_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &out->fds[i].fd, sizeof(int));
}

/* One sendmsg: as many frames as there are descriptors for. The receiver takes descriptors in the
 * order of their frames, so they may come before them; more only when those frames are gone, so
 * that it never has to hold many. */
static ssize_t send_some(struct ipc_output *out, int socket)
{
    union ipc_fds_control control = {0};
    uint64_t start = out->base + out->done, end = out->base + out->bytes.size;
    size_t count = out->fd_count < IPC_FDS_AT_ONCE ? out->fd_count : IPC_FDS_AT_ONCE;

    if (start < out->fds_sent) {
        end = out->fds_sent;
        count = 0;
    } else if (out->fd_count > count) {
        end = out->fds[count].at;
    }
    struct iovec part = {out->bytes.data + out->done, (size_t)(end - start)};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    if (count)
        attach_fds(out, count, &control, &msg);
    ssize_t sent = sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0 && count) {
        forget_fds(out, count);
        out->fds_sent = end;
    }
    return sent;
}

/* Which frame's bytes leave now: its header is there until all of it has left the buffer. */
static void look_at_leaving(struct ipc_output *out)
{
    struct span rest =
        span_from(buffer_span(&out->bytes), (size_t)(out->leaving.start - out->base));
    enum ipc_type type;

    out->leaving.end = out->leaving.start + ipc_frame_peek(rest, &type);
    out->leaving.is_reply = ipc_row(type)->is_reply;
}

/* `sent` more bytes are in the socket. Before any are dropped: headers are looked at. */
static void count_sent(struct ipc_output *out, size_t sent)
{
    out->done += sent;
    uint64_t place = out->base + out->done;
    while (out->leaving.start < place) {
        if (out->leaving.end == 0)
            look_at_leaving(out);
        if (out->leaving.end > place)
            return;
        out->replies -= out->leaving.is_reply;
        out->leaving.start = out->leaving.end;
        out->leaving.end = 0;
    }
}

/* Moving the rest to the front costs its length: only when at most half is left. */
static void drop_sent(struct ipc_output *out)
{
    if (out->done < out->bytes.size && out->done < out->bytes.size / 2)
        return;
    out->base += out->done;
    buffer_consume(&out->bytes, out->done);
    out->done = 0;
}

int ipc_output_send(struct ipc_output *out, int socket)
{
    int r = 0;

    while (r == 0 && out->done < out->bytes.size) {
        ssize_t sent = send_some(out, socket);
        if (sent >= 0)
            count_sent(out, (size_t)sent);
        else if (errno != EINTR)
            r = errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    drop_sent(out);
    return r;
}

size_t ipc_output_left(const struct ipc_output *out)
{
    return out->bytes.size - out->done;
}

bool ipc_output_leave_fd(struct ipc_output *out, int fd)
{
    for (size_t i = out->fd_count; i-- > 0;)
        if (out->fds[i].lent && out->fds[i].fd == fd) {
            out->fds[i].lent = false;
            return true;
        }
    return false;
}

void ipc_output_done(struct ipc_output *out)
{
    forget_fds(out, out->fd_count);
    free(out->fds);
    buffer_done(&out->bytes);
    *out = (struct ipc_output){0};
}
