/*
 * Encoding goes straight into the channel's output, the header being filled in when the size is
 * known. A frame that can't be encoded is taken back: half a frame would end the channel.
 */
#include "ipc/frame.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>

struct header {
    uint32_t size;
    uint16_t type, flags;
    uint64_t token;
};

static_assert(sizeof(struct header) == IPC_FRAME_HEADER, "the frame's header has no padding");

/* Where the union starts: every message's own structure lies there. */
static void *body_of(struct ipc_message *message)
{
    return &message->nothing;
}

/* Errors of the buffer are taken back with the frame: they are sticky, and would end all that
 * follows. */
int ipc_frame_encode(const struct ipc_message *message, uint64_t token, bool has_fd,
                     struct buffer *out)
{
    const struct ipc_row *row = ipc_row(message->type);
    size_t start = out->size;

    /* Types come from our own code here, never from the wire. */
    assert(row);
    void *room = buffer_reserve(out, IPC_FRAME_HEADER);
    if (!room) {
        out->error = 0;
        return -ENOMEM;
    }
    out->size += IPC_FRAME_HEADER;
    int r = codec_encode(row->codec, &message->nothing, out);
    if (r < 0) {
        out->size = start;
        out->error = 0;
        return r;
    }
    struct header header = {.size = htole32((uint32_t)(out->size - start - IPC_FRAME_HEADER)),
                            .type = htole16((uint16_t)message->type),
                            .flags = htole16(has_fd ? IPC_FRAME_HAS_FD : 0),
                            .token = htole64(token)};
    memcpy(out->data + start, &header, sizeof(header));
    return 0;
}

int ipc_frame_parse(struct span in, size_t max_size, struct ipc_frame *out, size_t *out_needed)
{
    struct header header;

    if (in.size < sizeof(header)) {
        *out_needed = sizeof(header);
        return 0;
    }
    memcpy(&header, in.data, sizeof(header));
    size_t size = sizeof(header) + (size_t)le32toh(header.size);
    unsigned flags = le16toh(header.flags);
    /* Before all of it is there: a size that will never be accepted isn't waited for. */
    if (size > max_size || !ipc_row(le16toh(header.type)) || (flags & ~(unsigned)IPC_FRAME_HAS_FD))
        return -EPROTO;
    if (in.size < size) {
        *out_needed = size;
        return 0;
    }
    *out = (struct ipc_frame){.type = le16toh(header.type),
                              .has_fd = flags & IPC_FRAME_HAS_FD,
                              .token = le64toh(header.token),
                              .wire = span_of(in.data + sizeof(header), size - sizeof(header)),
                              .size = size};
    return 1;
}

size_t ipc_frame_peek(struct span own, enum ipc_type *out_type)
{
    struct header header;

    assert(own.size >= sizeof(header));
    memcpy(&header, own.data, sizeof(header));
    *out_type = le16toh(header.type);
    return sizeof(header) + (size_t)le32toh(header.size);
}

int ipc_frame_decode(const struct ipc_frame *frame, struct arena *arena, struct ipc_message *out)
{
    struct ipc_message message = {.type = frame->type};
    int r = codec_decode(ipc_row(frame->type)->codec, frame->wire, arena, body_of(&message));

    if (r == 0)
        *out = message;
    return r;
}
