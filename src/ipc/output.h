/*
 * What one end of a channel has to say: frames, and the descriptors that go with them, until the
 * socket has taken them. Bytes lie in one buffer with places that count from the channel's start,
 * so that a descriptor can be tied to a frame although the buffer moves.
 */
#pragma once

#include "ipc/catalogue.h"
#include <sys/socket.h>

enum { IPC_FDS_AT_ONCE = 16 }; /* of as many frames, in one system call */

/* Room for them beside a message. */
union ipc_fds_control {
    struct cmsghdr align;
    char data[CMSG_SPACE(IPC_FDS_AT_ONCE * sizeof(int))];
};

/* A descriptor that goes with the frame that starts at this place. */
struct ipc_passenger {
    uint64_t at;
    int fd;
    bool lent; /* its owner closes it */
};

/* All zero is an empty one. */
struct ipc_output {
    struct buffer bytes;
    size_t done;             /* at the start of `bytes`, that are in the socket */
    uint64_t base;           /* place of bytes.data[0] */
    struct {                 /* the frame that is sent next, or in part */
        uint64_t start, end; /* `end` 0: not looked at yet */
        bool is_reply;
    } leaving;
    uint32_t replies; /* that are not in the socket, or only in part */
    struct ipc_passenger *fds;
    size_t fd_count, fd_room;
    uint64_t fds_sent; /* the descriptors of all frames before this place are in the socket */
};

/* Queues a frame, with a descriptor unless `fd` < 0: lent, or the output's own when all is well.
 * 0; -EINVAL when a field is too long, -EMSGSIZE when all of it is; -EAGAIN when too many
 * descriptors wait; -ENOMEM. */
int ipc_output_add(struct ipc_output *out, const struct ipc_message *message, uint64_t token,
                   int fd, bool lent);
/* What the socket takes. 0: all of it; -EAGAIN; -ETOOMANYREFS: descriptors have to wait until
 * others of this user have arrived, and the socket may be writable; or another -errno. */
int ipc_output_send(struct ipc_output *out, int socket);
/* Bytes that are not in the socket. */
size_t ipc_output_left(const struct ipc_output *out);
/* Is it lent still? Then it's ours from now on, and closed with its frame. */
bool ipc_output_leave_fd(struct ipc_output *out, int fd);
/* Closes what isn't lent. */
void ipc_output_done(struct ipc_output *out);
