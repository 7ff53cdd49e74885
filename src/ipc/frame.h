/*
 * The frame around a message on a channel: 16 bytes, little endian, then the message's wire form
 * (docs/formats/ipc.md):
 *
 *   0  u32  size of the wire form
 *   4  u16  type (enum ipc_type)
 *   6  u16  flags: 1 = a descriptor comes with this frame
 *   8  u64  token: a call's; repeated by its reply; 0 for a notice
 */
#pragma once

#include "ipc/catalogue.h"

enum { IPC_FRAME_HEADER = 16, IPC_FRAME_HAS_FD = 1 };

/* A frame found in the input: borrowed from it. */
struct ipc_frame {
    enum ipc_type type;
    bool has_fd;
    uint64_t token;
    struct span wire;
    size_t size; /* of all, with the header */
};

/* Appends a whole frame. On failure `out` is as before. 0, -EINVAL, -ENOMEM. */
int ipc_frame_encode(const struct ipc_message *message, uint64_t token, bool has_fd,
                     struct buffer *out);

/* The frame at the start of `in`. 1; 0 with *out_needed bytes needed in all; -EPROTO for a type
 * that is none, or a size over `max_size`. */
int ipc_frame_parse(struct span in, size_t max_size, struct ipc_frame *out, size_t *out_needed);

/* Size and type of the frame at the start of `own`, which was made here: its header is there. */
size_t ipc_frame_peek(struct span own, enum ipc_type *out_type);

/* The frame's message; spans point into the frame, lists lie in `arena`. 0, -EBADMSG, -ENOMEM. */
int ipc_frame_decode(const struct ipc_frame *frame, struct arena *arena, struct ipc_message *out);
