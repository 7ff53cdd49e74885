/*
 * A channel: one end of a Unix stream socket between two Postbuch processes. Sending never blocks
 * and never fails for lack of room in the socket: frames are queued and written at the end of the
 * loop's turn. What can be queued is bounded by credit:
 *
 *   calls: at most IPC_CALL_WINDOW wait for their reply; the reply's room is reserved with them;
 *   bytes: of each class (control, body) at most a window may be unconfirmed by the peer.
 *
 * Without credit ipc_call() and ipc_notify() return -EAGAIN; the owner then asks with ipc_wait() to
 * be called when there is some. The receiver confirms a frame's bytes when its handler returns,
 * unless the handler took charge of them with ipc_hold(): that is how a slow disk slows a client.
 *
 * The peer is hostile: a frame that doesn't decode, a type that isn't accepted here, a reply that
 * nobody waits for, a window that is passed, each is a violation: it is logged and the owner's
 * `lost` is called with -EPROTO. Frame: docs/formats/ipc.md.
 */
#pragma once

#include "io/loop.h"
#include "ipc/catalogue.h"

struct ipc_channel;

/* Calls, bytes. Also what a hostile peer can make the other side hold: a window of bodies and one
 * of control, and as many calls. */
enum {
    IPC_CALL_WINDOW = 8192,
    IPC_CONTROL_WINDOW = 4 << 20,
    IPC_BODY_WINDOW = 16 << 20,
    IPC_FRAME_MAX = 2 << 20, /* a list of the catalogue could have more: that isn't sent */
    IPC_FDS_MAX = 16384, /* duplicated, and waiting to be sent; the receiver holds few at once */
};

/* What arrived: borrowed until the handler returns, all but the descriptor. */
struct ipc_arrival {
    struct ipc_channel *channel;
    uint64_t token; /* for ipc_reply(), when it is a call */
    const struct ipc_message *message;
    int fd;            /* -1, or a descriptor that the handler must close */
    size_t held_bytes; /* what ipc_hold() would keep back */
};

/* One row for each type that this end accepts (replies to own calls aside). */
struct ipc_handler {
    enum ipc_type type;
    void (*fn)(void *owner, const struct ipc_arrival *arrival);
};

/* What this end is to its peer. Constant and static: the channel keeps the pointer. */
struct ipc_role {
    const char *peer_name; /* for log lines */
    const struct ipc_handler *handlers;
    size_t handler_count;
    /* The channel is of no more use: 0 the peer closed it, -EPROTO, or another -errno. What it had
     * replied was given before, and all other pending calls were answered with NULL. Not so after
     * -ENOMEM: there was no memory for a frame larger than the usual (ipc/input.h), for half a
     * minute or when the peer had gone; it and what follows are dropped. The owner frees the
     * channel, here or later. */
    void (*lost)(void *owner, struct ipc_channel *channel, int error);
    /* A hostile peer may send anything then: look what it is before using it in any way. */
    bool takes_fds;
    /* Makes room for descriptors that the channel reads now, and gives it up again. NULL: none is
     * needed. */
    void (*fd_room)(bool wanted);
    /* Who asks on while so many bytes wait to be read by it breaks the protocol, too. 0: as many as
     * the replies to a window of calls have. */
    size_t unread_max;
};

/* Takes over `fd`, a connected stream socket (closed by ipc_channel_free(); on failure by the
 * caller). `owner` is what handlers and `lost` are given. 0 or -errno. A channel belongs to
 * its loop's thread. */
int ipc_channel_new(struct io_loop *loop, int fd, const struct ipc_role *role, void *owner,
                    struct ipc_channel **out);
/* May be called in a handler. Pending calls are answered with NULL first. NULL is fine. */
void ipc_channel_free(struct ipc_channel *channel);
/* Before it is freed because another has come in its place: replies that lie in its socket, and
 * what only tells (ipc_row), are given, for the peer may have ended after them. Requests aren't. It
 * sends nothing from then on (-EPIPE), and `lost` isn't called. Not in its own handlers. NULL is
 * fine. */
void ipc_channel_read_out(struct ipc_channel *channel);

/* A call that waits for its reply. Embedded in its owner; zero before first use. */
struct ipc_call {
    struct ipc_channel *channel; /* NULL: none is under way */
    uint32_t slot;
    /* The reply, borrowed until fn returns; NULL when the channel was lost. */
    void (*fn)(struct ipc_call *call, const struct ipc_message *reply);
};

/* 0; -EAGAIN without credit; -EPIPE when the channel is lost; -EINVAL when a field is too long,
 * -EMSGSIZE when all of it is; -ENOMEM. Only after 0 call->fn will be called, and exactly once,
 * never from within ipc_call(). */
int ipc_call(struct ipc_channel *channel, struct ipc_call *call, const struct ipc_message *message);
/* The same with a descriptor, which is lent until the frame was sent, at most to the end of the
 * channel: whoever wants to close it asks ipc_leave_fd() first. */
int ipc_call_lending(struct ipc_channel *channel, struct ipc_call *call,
                     const struct ipc_message *message, int fd);
/* Is it lent still? Then it's the channel's from now on, which closes it; else the owner does. */
bool ipc_leave_fd(struct ipc_channel *channel, int fd);
/* fn will not be called; does nothing when no call is under way. */
void ipc_call_cancel(struct ipc_call *call);
static inline bool ipc_call_is_pending(const struct ipc_call *call)
{
    return call->channel != NULL;
}

/* One-way. Errors as of ipc_call(). The message is encoded at once: nothing of it is kept. */
int ipc_notify(struct ipc_channel *channel, const struct ipc_message *message);
/* The same with a descriptor, which is duplicated into the message; the caller's stays open. Also
 * -EAGAIN when IPC_FDS_MAX wait already, or what dup(2) says. */
int ipc_notify_fd(struct ipc_channel *channel, const struct ipc_message *message, int fd);

/* Answers a call, exactly once; needs no credit. 0, -EINVAL when a field is larger than the
 * catalogue allows, -EMSGSIZE when all of it is, or -ENOMEM. After a failure the channel gets lost,
 * for a call without its reply would wait for ever. A reply on a lost channel is dropped and
 * returns 0, for nobody is there to be told. */
int ipc_reply(struct ipc_channel *channel, uint64_t token, const struct ipc_message *message);
/* The same for who has a smaller answer at hand: the channel lives, and he owes that one. */
int ipc_try_reply(struct ipc_channel *channel, uint64_t token, const struct ipc_message *message);

/* In a handler: the bytes of this frame are confirmed later, by ipc_release(), with their class.
 * Returns their number, which must be released some day: what is never released is lost to the
 * window, until the channel ends. */
size_t ipc_hold(const struct ipc_arrival *arrival);
/* Of their class; nothing on a lost channel. */
void ipc_release(struct ipc_channel *channel, enum ipc_class class_, size_t bytes);

/* Called once when credit came back after -EAGAIN, in the order of asking; and when the channel is
 * lost. Embedded in its owner. */
struct ipc_waiter {
    struct list link;
    void (*fn)(struct ipc_waiter *waiter);
};
/* Does nothing when it waits already. The channel must live; cancel before the waiter's memory
 * goes. */
void ipc_wait(struct ipc_channel *channel, struct ipc_waiter *waiter);
/* One that doesn't wait is fine. */
void ipc_wait_cancel(struct ipc_waiter *waiter);

/* Calls of the peer that were not answered yet. */
uint32_t ipc_channel_owed(const struct ipc_channel *channel);
/* Bytes queued and not yet in the socket (for status and for tests). */
size_t ipc_channel_queued(const struct ipc_channel *channel);
