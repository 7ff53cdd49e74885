/*
 * For targets that play a hostile process at the other end of a channel: any message of the
 * catalogue from few bytes of input, well-formed, so that the fuzzer gets past the decoder; and the
 * socket's end, with the calls that wait for an answer.
 */
#pragma once

#include "fuzz.h"

#include "ipc/frame.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FUZZ_CALLS = 32, FUZZ_LIST_MAX = 5, FUZZ_RAW = 0xF0 };

static inline uint8_t fuzz_take(struct span *in)
{
    uint8_t byte = in->size ? (uint8_t)in->data[0] : 0;
    *in = span_from(*in, 1);
    return byte;
}

/* `size` bytes into `out`; what is missing is zero. */
static inline void fuzz_take_bytes(struct span *in, void *out, size_t size)
{
    struct span part = span_first(*in, size);

    memset(out, 0, size);
    if (part.size)
        memcpy(out, part.data, part.size);
    *in = span_from(*in, part.size);
}

/* Up to 0xEF bytes as they are; beyond that eight bytes over and over. */
static inline struct span fuzz_take_span(struct span *in, struct arena *arena, uint64_t max)
{
    uint8_t size = fuzz_take(in);
    struct span text = span_first(*in, size < FUZZ_RAW ? size : 8);
    size_t total = size < FUZZ_RAW || !text.size ? text.size : (size - FUZZ_RAW + 1u) * 3000u;

    *in = span_from(*in, text.size);
    total = total > max ? (size_t)max : total;
    char *bytes = arena_alloc(arena, total + 1);
    assert(bytes);
    for (size_t i = 0; i < total; i++)
        bytes[i] = text.data[i % text.size];
    return span_of(bytes, total);
}

static inline uint64_t fuzz_take_number(struct span *in, const struct codec_field *field)
{
    uint8_t small = fuzz_take(in);
    uint64_t number = small;

    if (small >= FUZZ_RAW)
        fuzz_take_bytes(in, &number, field->size);
    if (field->kind == CODEC_KIND_INT)
        return small < FUZZ_RAW ? (uint64_t)(int64_t)(int8_t)small : number;
    return field->max < UINT64_MAX ? number % (field->max + 1) : number;
}

static inline void fuzz_fill(const struct codec *codec, struct span *in, struct arena *arena,
                             void *value);

static inline void fuzz_fill_list(const struct codec_field *field, struct span *in,
                                  struct arena *arena, char *value)
{
    size_t count = fuzz_take(in) % (FUZZ_LIST_MAX + 1);

    count = count > field->max ? (size_t)field->max : count;
    char *elements = arena_alloc_array(arena, count + 1, field->element->size);
    assert(elements);
    memset(elements, 0, (count + 1) * field->element->size);
    for (size_t i = 0; i < count; i++)
        fuzz_fill(field->element, in, arena, elements + i * field->element->size);
    memcpy(value + field->offset, &elements, sizeof(elements));
    memcpy(value + field->count_offset, &count, sizeof(count));
}

/* `value` is zero; as deep as the tables are. */
static inline void fuzz_fill(const struct codec *codec, struct span *in, struct arena *arena,
                             void *value)
{
    char *at = value;

    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        if (field->kind == CODEC_KIND_LIST) {
            fuzz_fill_list(field, in, arena, at);
        } else if (field->kind == CODEC_KIND_SPAN) {
            struct span text = fuzz_take_span(in, arena, field->max);
            memcpy(at + field->offset, &text, sizeof(text));
        } else if (field->kind == CODEC_KIND_FIXED) {
            uint8_t first = fuzz_take(in);
            memset(at + field->offset, first, field->size);
            if (first >= FUZZ_RAW)
                fuzz_take_bytes(in, at + field->offset, field->size);
        } else {
            uint64_t number = fuzz_take_number(in, field);
            memcpy(at + field->offset, &number, field->size);
        }
    }
}

/* ---- the end of a channel ---- */

struct fuzz_peer {
    int fd; /* -1: it has closed, or was closed */
    struct buffer in, out;
    struct {
        enum ipc_type type;
        uint64_t token;
    } calls[FUZZ_CALLS]; /* the last ones that wait for our answer */
    size_t call_count;
    uint64_t asked, answered; /* our calls, and replies to them */
};

/* The other end of the pair, for the process under test. */
static inline int fuzz_peer_open(struct fuzz_peer *p)
{
    int fds[2];

    *p = (struct fuzz_peer){0};
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    p->fd = fds[0];
    return fds[1];
}

static inline void fuzz_peer_close(struct fuzz_peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    buffer_done(&p->in);
    buffer_done(&p->out);
}

static inline void fuzz_peer_note(struct fuzz_peer *p, const struct ipc_frame *frame)
{
    const struct ipc_row *row = ipc_row(frame->type);

    p->answered += row->is_reply;
    assert(p->answered <= p->asked);
    if (row->reply == IPC_NONE)
        return;
    size_t at = p->call_count < FUZZ_CALLS ? p->call_count++ : frame->token % FUZZ_CALLS;
    p->calls[at].type = frame->type;
    p->calls[at].token = frame->token;
}

typedef void fuzz_peer_fn(void *arg, const struct ipc_frame *frame,
                          const struct ipc_message *message);

/* What came: each frame must decode. `on_message` may be NULL. */
static inline void fuzz_peer_read(struct fuzz_peer *p, fuzz_peer_fn *on_message, void *arg)
{
    struct ipc_frame frame;
    size_t needed;
    ssize_t got = 1;

    while (p->fd >= 0 && got > 0) {
        char *room = buffer_reserve(&p->in, 65536);
        assert(room);
        got = recv(p->fd, room, 65536, MSG_DONTWAIT);
        p->in.size += got > 0 ? (size_t)got : 0;
    }
    while (ipc_frame_parse(buffer_span(&p->in), 4 << 20, &frame, &needed) > 0) {
        struct arena arena = ARENA_INIT;
        struct ipc_message message;
        assert(ipc_frame_decode(&frame, &arena, &message) == 0);
        fuzz_peer_note(p, &frame);
        if (on_message)
            on_message(arg, &frame, &message);
        arena_done(&arena);
        buffer_consume(&p->in, frame.size);
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
        fuzz_peer_close(p);
}

/* What is queued, as far as the socket takes it. */
static inline void fuzz_peer_flush(struct fuzz_peer *p)
{
    while (p->fd >= 0 && p->out.size) {
        ssize_t sent = send(p->fd, p->out.data, p->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        buffer_consume(&p->out, (size_t)sent);
    }
}

/* That of our next call. */
static inline uint64_t fuzz_peer_new_token(const struct fuzz_peer *p)
{
    return 1000 + p->asked;
}

/* The token that a message of this type needs to be taken: that of a call of theirs, if one waits
 * for such a reply; else one of our own. `choice` picks. */
static inline uint64_t fuzz_peer_token(struct fuzz_peer *p, enum ipc_type type, uint8_t choice)
{
    for (size_t i = 0; ipc_row(type)->is_reply && i < p->call_count; i++) {
        size_t at = (i + choice) % p->call_count;
        if (ipc_row(p->calls[at].type)->reply != type)
            continue;
        uint64_t token = p->calls[at].token;
        p->calls[at] = p->calls[--p->call_count];
        return token;
    }
    return ipc_row(type)->reply == IPC_NONE && !ipc_row(type)->is_reply ? 0
                                                                        : fuzz_peer_new_token(p);
}

static inline void fuzz_peer_send(struct fuzz_peer *p, const struct ipc_message *message,
                                  uint8_t choice)
{
    uint64_t token = fuzz_peer_token(p, message->type, choice);

    if (ipc_frame_encode(message, token, false, &p->out) == 0)
        p->asked += ipc_row(message->type)->reply != IPC_NONE;
    fuzz_peer_flush(p);
}
