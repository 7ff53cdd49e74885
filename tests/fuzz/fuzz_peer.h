/*
 * For targets that play a hostile process at the other end of a channel: the socket's end, with the
 * calls that wait for an answer. Messages are made by fuzz_fill.h.
 */
#pragma once

#include "fuzz_fill.h"

#include "ipc/frame.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FUZZ_CALLS = 32 };

struct fuzz_peer {
    int fd;   /* -1: it has closed, or was closed */
    int gift; /* goes with messages that carry a descriptor; borrowed */
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
        static char room[65536]; /* it would be new memory for each of many short peers */
        got = recv(p->fd, room, sizeof(room), MSG_DONTWAIT);
        if (got > 0)
            buffer_append(&p->in, room, (size_t)got);
    }
    assert(buffer_error(&p->in) == 0);
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

/* The frame with its descriptor, behind all that was queued. */
static inline void fuzz_peer_send_fd(struct fuzz_peer *p, const struct buffer *frame)
{
    union {
        struct cmsghdr align;
        char data[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {frame->data, frame->size};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control.data,
                         .msg_controllen = sizeof(control.data)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    *cmsg = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(cmsg), &p->gift, sizeof(int));
    fuzz_peer_flush(p);
    if (p->fd >= 0 && p->out.size == 0)
        (void)!sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static inline void fuzz_peer_send(struct fuzz_peer *p, const struct ipc_message *message,
                                  uint8_t choice)
{
    const struct ipc_row *row = ipc_row(message->type);
    bool with_fd = row->carries_fd && p->gift > 0;
    struct buffer frame = BUFFER_INIT;
    uint64_t token = fuzz_peer_token(p, message->type, choice);

    if (ipc_frame_encode(message, token, with_fd, &frame) == 0)
        p->asked += row->reply != IPC_NONE;
    if (with_fd && buffer_error(&frame) == 0)
        fuzz_peer_send_fd(p, &frame);
    else
        buffer_append_span(&p->out, buffer_span(&frame));
    buffer_done(&frame);
    fuzz_peer_flush(p);
}

/* Raw bytes from the input, their number first. */
static inline void fuzz_peer_send_raw(struct fuzz_peer *p, struct span *in)
{
    uint8_t size = fuzz_take(in);

    buffer_append_span(&p->out, span_first(*in, size));
    *in = span_from(*in, size);
    p->asked += size; /* any of it may be a call */
    fuzz_peer_flush(p);
}

/* The message of this type with fields from the input; nothing when there is no such type. */
static inline void fuzz_peer_send_any(struct fuzz_peer *p, uint8_t type, struct span *in)
{
    struct ipc_message message = {.type = (enum ipc_type)(type % IPC_TYPE_COUNT)};
    const struct ipc_row *row = ipc_row(message.type);
    struct arena arena = ARENA_INIT;

    if (row) {
        fuzz_fill(row->codec, in, &arena, (char *)&message + offsetof(struct ipc_message, credit));
        fuzz_peer_send(p, &message, type);
    }
    arena_done(&arena);
}

/* A piece of the body of one of the first jobs. */
static inline void fuzz_peer_send_piece(struct fuzz_peer *p, struct span *in)
{
    struct ipc_message m = {.type = IPC_JOB_BODY};
    struct arena arena = ARENA_INIT;

    fuzz_fill(ipc_row(IPC_JOB_BODY)->codec, in, &arena, &m.job_body);
    m.job_body.job %= 4;
    fuzz_peer_send(p, &m, 0);
    arena_done(&arena);
}

/* To a process that speaks SMTP with us; what its socket doesn't take is lost. < 0: it is closed.
 */
static inline void fuzz_say(int fd, struct span text)
{
    if (fd >= 0)
        (void)!send(fd, text.size ? text.data : "", text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}
