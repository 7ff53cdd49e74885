/*
 * What one end of a channel hears: bytes, and the descriptors that came with them, in the order of
 * the frames that they belong to.
 *
 * Memory for what is usually said is there from the start, and never given back: so a process that
 * lacks memory still hears what has become of its mail. Only a frame that is larger asks for more.
 */
#pragma once

#include "base/buffer.h"
#include <sys/types.h>

struct ipc_role;

enum { IPC_FDS_EARLY_MAX = 64 }; /* that were received before their frames */

struct ipc_input {
    struct buffer bytes;
    size_t read_bytes; /* that we ask for in one call */
    int fds[IPC_FDS_EARLY_MAX];
    size_t fd_count;
};

/* 0 or -ENOMEM. */
int ipc_input_init(struct ipc_input *in);
/* One recvmsg, at the end of the bytes: their number, 0 at the end, -EAGAIN, -ENOMEM when there is
 * no room left, of which nothing is lost, or another -errno. */
ssize_t ipc_input_receive(struct ipc_input *in, int socket, const struct ipc_role *role);
/* A frame of so many bytes has begun: room for all of it at once, if there is memory. */
void ipc_input_expect(struct ipc_input *in, size_t size);
/* The next descriptor, for a frame that says it has one. 0 or -EPROTO. */
int ipc_input_take_fd(struct ipc_input *in, int *out);
/* Closes the descriptors that nobody has taken. */
void ipc_input_done(struct ipc_input *in);
