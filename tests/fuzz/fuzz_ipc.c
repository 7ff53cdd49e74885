/* Frames of the IPC: whatever arrives parses or is refused, and what decodes encodes the same. */
#include "ipc/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const struct ipc_frame *frame)
{
    struct arena arena = ARENA_LIMITED(16 << 20);
    struct buffer wire = BUFFER_INIT;
    struct ipc_message message;

    if (ipc_frame_decode(frame, &arena, &message) == 0) {
        if (ipc_frame_encode(&message, frame->token, frame->has_fd, &wire) < 0 ||
            wire.size != frame->size ||
            memcmp(wire.data + IPC_FRAME_HEADER, frame->wire.data, frame->wire.size) != 0)
            abort();
    }
    buffer_done(&wire);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct ipc_frame frame;
    size_t needed;

    while (ipc_frame_parse(in, 1 << 20, &frame, &needed) > 0) {
        decode(&frame);
        in = span_from(in, frame.size);
    }
    return 0;
}
