/*
 * A channel's life:
 *
 *      new ──▶ works ──the peer doesn't hear us──▶ read out ──lose()──▶ lost
 *                └──────────what it says ends, or breaks the rules─────▶
 *      any of them ──free──▶ freed ──last handler returns──▶ destroyed
 *
 * Whoever sends to a process that has ended is told so although what that one said before still
 * lies in the socket: `read out` sends nothing more and takes the replies and events among it, for
 * they tell what has become of mail. A channel that works and finds no memory for a frame reads on
 * when there is some, by a timer. `lost` reads nothing more, but keeps its memory for the owner;
 * `freed` does so for handlers that still run (`busy`): any of them may free the channel, and all
 * that follow must notice.
 *
 * Credit is counted alike on both sides: what we sent and the peer hasn't confirmed is what it has
 * received and not confirmed.
 */
#include "ipc/channel.h"

#include "base/log.h"
#include "ipc/calls.h"
#include "ipc/frame.h"
#include "ipc/input.h"
#include "ipc/output.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_OUT_BYTES = 4 << 20, /* more than the socket of one that has ended holds */
    ARENA_BYTES = 16 * 1024,  /* of it that are there from the start, as of the input */
    OUT_BYTES = 8 * 1024,     /* likewise: for any reply that is as small as it can be */
    RETRY_MS = 20,
    READ_TRIES = 1500, /* half a minute */
};

enum channel_state { CHANNEL_WORKS, CHANNEL_READ_OUT, CHANNEL_LOST, CHANNEL_FREED };

struct ipc_channel {
    struct io_loop *loop;
    const struct ipc_role *role;
    void *owner;
    int fd;
    struct io_watch *watch;
    struct io_deferred flush, wake;
    struct io_timer *retry;
    struct list waiters;

    struct ipc_output out;
    struct ipc_input in;
    struct arena arena;
    unsigned tries; /* to read, in a row, for which memory was short; until it isn't only the timer
                       reads */

    struct ipc_calls calls;
    uint32_t answers_owed;               /* calls of the peer that we have not answered */
    size_t unconfirmed[IPC_CLASS_COUNT]; /* our bytes that the peer has not confirmed */
    size_t received[IPC_CLASS_COUNT];    /* the peer's bytes that we have not confirmed */
    size_t confirmable[IPC_CLASS_COUNT]; /* of these, taken, to be confirmed with the next credit */

    unsigned busy; /* depth of handlers that run */
    enum channel_state state;
    int broken; /* why it is lost at the end of the turn: a reply or credit can't be made; or 0 */
};

static void part(struct ipc_channel *ch, int error);

static const size_t windows[IPC_CLASS_COUNT] = {IPC_CONTROL_WINDOW, IPC_BODY_WINDOW};

/* Only when no handler is running: frees what handlers of this channel look at. */
static void destroy(struct ipc_channel *ch)
{
    io_defer_cancel(&ch->flush);
    io_defer_cancel(&ch->wake);
    io_timer_free(ch->retry);
    io_watch_free(ch->watch);
    if (ch->fd >= 0)
        close(ch->fd);
    ipc_output_done(&ch->out);
    ipc_input_done(&ch->in);
    arena_done(&ch->arena);
    ipc_calls_done(&ch->calls);
    free(ch);
}

static void set_state(struct ipc_channel *ch, enum channel_state state)
{
    assert(state > ch->state);
    ch->state = state;
    io_watch_set(ch->watch, 0);
}

/* No more is read, and nobody is told any more. */
static bool is_over(const struct ipc_channel *ch)
{
    return ch->state >= CHANNEL_LOST;
}

/* After each `busy++`: the channel may not be used any more. */
static void leave(struct ipc_channel *ch)
{
    if (--ch->busy == 0 && ch->state == CHANNEL_FREED)
        destroy(ch);
}

/* Every call is told once. It may start another, which then fails with -EPIPE: the channel doesn't
 * work any more. */
static void fail_pending(struct ipc_channel *ch)
{
    struct ipc_call *call;

    while ((call = ipc_calls_take_any(&ch->calls))) {
        call->channel = NULL;
        call->fn(call, NULL);
    }
}

/* Each waiter that waits now is called once; it may wait again. */
static void wake_waiters(struct ipc_channel *ch)
{
    struct list now, *link;

    list_init(&now);
    list_move_all(&ch->waiters, &now);
    while ((link = list_take_first(&now))) {
        struct ipc_waiter *waiter = CONTAINER_OF(link, struct ipc_waiter, link);
        waiter->fn(waiter);
    }
}

/* The one place where a channel becomes lost. Calls first, then waiters, then the owner: each is
 * told once, and each may free the channel. */
static void lose(struct ipc_channel *ch, int error)
{
    if (is_over(ch))
        return;
    set_state(ch, CHANNEL_LOST);
    ch->busy++;
    if (error)
        log_warn("channel to %s: %s", ch->role->peer_name,
                 error == -EPROTO ? "it broke the protocol" : strerror(-error));
    fail_pending(ch);
    wake_waiters(ch);
    if (ch->state != CHANNEL_FREED && ch->role->lost)
        ch->role->lost(ch->owner, ch, error);
    leave(ch);
}

void ipc_channel_free(struct ipc_channel *ch)
{
    if (!ch || ch->state == CHANNEL_FREED)
        return;
    set_state(ch, CHANNEL_FREED);
    ch->busy++;
    fail_pending(ch);
    wake_waiters(ch);
    leave(ch);
}

/* ---- output ---- */

/* Writes what the socket takes; what is left waits for IO_WRITE. Writing is watched only then: a
 * socket is nearly always writable. It is so, too, while too many descriptors of this user are on
 * their way; nothing tells when the receivers have taken some, so it's tried again. */
static void flush(struct ipc_channel *ch)
{
    unsigned events = ch->tries ? 0 : IO_READ;

    if (ch->state != CHANNEL_WORKS)
        return;
    int r = ipc_output_send(&ch->out, ch->fd);
    if (r == -EAGAIN) {
        events |= IO_WRITE;
        r = 0;
    } else if (r == -ETOOMANYREFS) {
        r = io_timer_set(ch->retry, RETRY_MS);
    }
    if (r == 0)
        r = io_watch_set(ch->watch, events);
    if (r < 0) /* that the peer went is no fault of the protocol: the owner is told with 0 */
        part(ch, r == -EPIPE || r == -ECONNRESET ? 0 : r);
}

/* When something can't be made for the peer, what could be goes all the same. */
static void on_flush(struct io_deferred *deferred)
{
    struct ipc_channel *ch = CONTAINER_OF(deferred, struct ipc_channel, flush);

    ch->busy++;
    flush(ch);
    if (ch->broken)
        part(ch, ch->broken);
    leave(ch);
}

/* From the loop and not from where the credit came: a waiter may send, and what it sends may be a
 * whole queue of its own. */
static void on_wake(struct io_deferred *deferred)
{
    struct ipc_channel *ch = CONTAINER_OF(deferred, struct ipc_channel, wake);

    ch->busy++;
    wake_waiters(ch);
    leave(ch);
}

/* `fd`: < 0 none. Nothing is sent here: a turn's frames go out together at its end. */
static int queue_frame(struct ipc_channel *ch, const struct ipc_message *message, uint64_t token,
                       int fd, bool lent)
{
    int r = ipc_output_add(&ch->out, message, token, fd, lent);

    if (r == 0)
        io_defer(ch->loop, &ch->flush);
    return r;
}

/* For what the peer would wait for. Without memory for more what was queued goes first, and leaves
 * its room; what that meets is met again at the turn's end. */
static int queue_owed(struct ipc_channel *ch, const struct ipc_message *message, uint64_t token)
{
    int r = queue_frame(ch, message, token, -1, false);

    if (r != -ENOMEM)
        return r;
    (void)ipc_output_send(&ch->out, ch->fd);
    return queue_frame(ch, message, token, -1, false);
}

/* Queues a frame that needs credit of its class. */
static int queue_with_credit(struct ipc_channel *ch, const struct ipc_message *message,
                             uint64_t token, int fd, bool lent)
{
    size_t before = ipc_channel_queued(ch);
    enum ipc_class class_ = ipc_row(message->type)->class_;

    /* A frame may pass the window's end when it starts below: the receiver counts the same way. */
    if (ch->unconfirmed[class_] >= windows[class_])
        return -EAGAIN;
    int r = queue_frame(ch, message, token, fd, lent);
    if (r == 0)
        ch->unconfirmed[class_] += ipc_channel_queued(ch) - before;
    return r;
}

/* A copy, since it is sent at the end of the turn: the caller may close his own at once. */
int ipc_notify_fd(struct ipc_channel *ch, const struct ipc_message *message, int fd)
{
    assert(ipc_row(message->type)->carries_fd);
    if (ch->state != CHANNEL_WORKS)
        return -EPIPE;
    int copy = dup(fd);
    if (copy < 0)
        return -errno;
    int r = queue_with_credit(ch, message, 0, copy, false);
    if (r < 0)
        close(copy);
    return r;
}

int ipc_notify(struct ipc_channel *ch, const struct ipc_message *message)
{
    assert(!ipc_row(message->type)->carries_fd);
    return ch->state != CHANNEL_WORKS ? -EPIPE : queue_with_credit(ch, message, 0, -1, false);
}

static int start_call(struct ipc_channel *ch, struct ipc_call *call,
                      const struct ipc_message *message, int fd, bool lent)
{
    uint64_t token;

    assert(!call->channel && ipc_row(message->type)->carries_fd == (fd >= 0));
    if (ch->state != CHANNEL_WORKS)
        return -EPIPE;
    int r = ipc_calls_add(&ch->calls, call, ipc_row(message->type)->reply, &token);
    if (r < 0)
        return r;
    r = queue_with_credit(ch, message, token, fd, lent);
    if (r < 0) {
        struct ipc_call *same;
        ipc_calls_take(&ch->calls, token, ipc_row(message->type)->reply, &same);
        return r;
    }
    call->channel = ch;
    return 0;
}

int ipc_call(struct ipc_channel *ch, struct ipc_call *call, const struct ipc_message *message)
{
    return start_call(ch, call, message, -1, false);
}

int ipc_call_lending(struct ipc_channel *ch, struct ipc_call *call,
                     const struct ipc_message *message, int fd)
{
    return start_call(ch, call, message, fd, true);
}

bool ipc_leave_fd(struct ipc_channel *ch, int fd)
{
    return ipc_output_leave_fd(&ch->out, fd);
}

void ipc_call_cancel(struct ipc_call *call)
{
    if (!call->channel)
        return;
    ipc_calls_cancel(&call->channel->calls, call);
    call->channel = NULL;
}

/* When the peer would wait for ever otherwise; it hears that the channel is lost. */
static void break_off(struct ipc_channel *ch, int error)
{
    ch->broken = error;
    io_defer(ch->loop, &ch->flush);
}

/* A reply's room was reserved with its call, so it asks for no credit and can't be refused for it.
 * On failure the answer is still owed. */
int ipc_try_reply(struct ipc_channel *ch, uint64_t token, const struct ipc_message *message)
{
    assert(ipc_row(message->type)->is_reply);
    if (ch->state != CHANNEL_WORKS)
        return 0;
    int r = queue_owed(ch, message, token);
    if (r == 0)
        ch->answers_owed--;
    return r;
}

int ipc_reply(struct ipc_channel *ch, uint64_t token, const struct ipc_message *message)
{
    int r = ipc_try_reply(ch, token, message);

    if (r < 0)
        break_off(ch, r);
    return r;
}

void ipc_wait(struct ipc_channel *ch, struct ipc_waiter *waiter)
{
    if (!list_is_linked(&waiter->link))
        list_append(&ch->waiters, &waiter->link);
}

void ipc_wait_cancel(struct ipc_waiter *waiter)
{
    list_remove(&waiter->link);
}

uint32_t ipc_channel_owed(const struct ipc_channel *ch)
{
    return ch->answers_owed;
}

size_t ipc_channel_queued(const struct ipc_channel *ch)
{
    return ipc_output_left(&ch->out);
}

/* ---- credit ---- */

size_t ipc_hold(const struct ipc_arrival *arrival)
{
    /* The arrival is ours and not const where it was made (take_request); only handlers
     * see it so. */
    struct ipc_arrival *mine = (struct ipc_arrival *)arrival;
    size_t bytes = mine->held_bytes;
    mine->held_bytes = 0;
    return bytes;
}

/* The peer has no credit left, and nothing that we hold of its will give it any: of a credit that
 * isn't told now nobody would ever hear. Otherwise the next release tells of this one, too. */
static bool is_last_release(const struct ipc_channel *ch, enum ipc_class class_)
{
    return ch->received[class_] >= windows[class_] &&
           ch->confirmable[class_] == ch->received[class_];
}

void ipc_release(struct ipc_channel *ch, enum ipc_class class_, size_t bytes)
{
    if (ch->state != CHANNEL_WORKS)
        return;
    ch->confirmable[class_] += bytes;
    /* Seldom, so that confirming costs little; early enough that the sender need not stop. */
    if (ch->confirmable[class_] < windows[class_] / 4)
        return;
    struct ipc_message credit = {
        .type = IPC_CREDIT,
        .credit = {.class_ = (uint8_t)class_, .bytes = (uint32_t)ch->confirmable[class_]}};
    if (queue_owed(ch, &credit, 0) == 0) {
        ch->received[class_] -= ch->confirmable[class_];
        ch->confirmable[class_] = 0;
    } else if (is_last_release(ch, class_)) {
        break_off(ch, -ENOMEM);
    }
}

/* More than was sent would let the peer raise our window for ever. */
static int take_credit(struct ipc_channel *ch, const struct ipc_credit *credit)
{
    if (credit->bytes > ch->unconfirmed[credit->class_])
        return -EPROTO;
    ch->unconfirmed[credit->class_] -= credit->bytes;
    if (!list_is_empty(&ch->waiters))
        io_defer(ch->loop, &ch->wake);
    return 0;
}

/* ---- input ---- */

/* A cancelled call's reply ends its slot and is dropped. Either way there is room for another call:
 * waiters are woken. */
static int take_reply(struct ipc_channel *ch, const struct ipc_frame *frame,
                      const struct ipc_message *message)
{
    struct ipc_call *call;

    int r = ipc_calls_take(&ch->calls, frame->token, frame->type, &call);
    if (r < 0)
        return r;
    if (call) {
        call->channel = NULL;
        call->fn(call, message);
    }
    if (!list_is_empty(&ch->waiters))
        io_defer(ch->loop, &ch->wake);
    return 0;
}

static const struct ipc_handler *find_handler(const struct ipc_channel *ch, enum ipc_type type)
{
    for (size_t i = 0; i < ch->role->handler_count; i++)
        if (ch->role->handlers[i].type == type)
            return &ch->role->handlers[i];
    return NULL;
}

static int take_request(struct ipc_channel *ch, const struct ipc_frame *frame,
                        const struct ipc_message *message, int fd)
{
    const struct ipc_handler *handler = find_handler(ch, frame->type);
    const struct ipc_row *row = ipc_row(frame->type);
    enum ipc_class class_ = row->class_;
    bool is_call = row->reply != IPC_NONE;

    if (!handler) {
        log_warn("channel to %s: it sent %s, which is not accepted here", ch->role->peer_name,
                 row->name);
        return -EPROTO;
    }
    /* The peer must keep the rules that we keep when we send: else it could make us
     * hold without end. To it a call is under way until it has read the reply: one that asks and
     * never reads is cut off as well. */
    if (ch->received[class_] >= windows[class_] ||
        (is_call && ch->answers_owed + ch->out.replies >= IPC_CALL_WINDOW))
        return -EPROTO;
    if (ch->role->unread_max && ipc_channel_queued(ch) > ch->role->unread_max) {
        log_warn("channel to %s: it doesn't read what it asks for", ch->role->peer_name);
        return -EPROTO;
    }
    ch->received[class_] += frame->size;
    ch->answers_owed += is_call;
    struct ipc_arrival arrival = {.channel = ch,
                                  .token = frame->token,
                                  .message = message,
                                  .fd = fd,
                                  .held_bytes = frame->size};
    handler->fn(ch->owner, &arrival);
    ipc_release(ch, class_, arrival.held_bytes);
    return 0;
}

/* One arena for all frames, emptied before each: what a handler keeps it copies. */
static int take_frame(struct ipc_channel *ch, const struct ipc_frame *frame)
{
    const struct ipc_row *row = ipc_row(frame->type);
    struct ipc_message message;
    int fd = -1;

    arena_clear(&ch->arena);
    int r = ipc_frame_decode(frame, &ch->arena, &message);
    if (r < 0)
        return r == -ENOMEM ? r : -EPROTO;
    if (frame->has_fd != row->carries_fd)
        return -EPROTO;
    if (row->carries_fd && (r = ipc_input_take_fd(&ch->in, &fd)) < 0)
        return r;
    if (frame->type == IPC_CREDIT)
        return take_credit(ch, &message.credit);
    if (row->is_reply)
        return take_reply(ch, frame, &message);
    /* Nobody waits for what it wants: a commit would take in what its client sends again. */
    if (ch->state == CHANNEL_WORKS || row->tells)
        r = take_request(ch, frame, &message, fd);
    if ((r < 0 || ch->state == CHANNEL_READ_OUT) && fd >= 0)
        close(fd);
    return r;
}

/* All whole frames of the input. 0; -ENOMEM: the next one stays; or -errno, of which the channel is
 * to be lost. */
static int take_frames(struct ipc_channel *ch)
{
    struct span in = buffer_span(&ch->in.bytes);
    struct ipc_frame frame;
    size_t done = 0, needed = 0;
    int r;

    while ((r = ipc_frame_parse(span_from(in, done), IPC_FRAME_MAX, &frame, &needed)) > 0) {
        r = take_frame(ch, &frame);
        if (is_over(ch))
            return r;
        if (r < 0)
            break;
        done += frame.size;
    }
    buffer_consume(&ch->in.bytes, done);
    if (r == 0)
        ipc_input_expect(&ch->in, needed);
    return r;
}

/* One read, and what came whole with it: the number of bytes, 0 at the end, -EAGAIN when there is
 * nothing now, -ENOMEM, or another -errno, of which the channel gets lost. */
static ssize_t hear(struct ipc_channel *ch)
{
    ssize_t size = ipc_input_receive(&ch->in, ch->fd, ch->role);
    int r = size > 0 ? take_frames(ch) : 0;

    return r < 0 ? r : size;
}

/* What is in the socket stays there, and slows who sends. False: that has gone on for too long, and
 * others wait for what we can't read; or nothing would wake us. */
static bool await_memory(struct ipc_channel *ch)
{
    unsigned events = ipc_output_left(&ch->out) ? IO_WRITE : 0;

    if (ch->tries++ == 0)
        log_warn("channel to %s: memory is short, what it says waits", ch->role->peer_name);
    return ch->tries <= READ_TRIES && io_watch_set(ch->watch, events) == 0 &&
           io_timer_set(ch->retry, RETRY_MS) == 0;
}

/* After a read, with what it came to. */
static void go_on(struct ipc_channel *ch, ssize_t heard)
{
    if (ch->state != CHANNEL_WORKS || (heard == -ENOMEM && await_memory(ch)))
        return;
    if (heard <= 0 && heard != -EAGAIN)
        lose(ch, heard == -ECONNRESET ? 0 : (int)heard);
    else
        ch->tries = 0;
}

/* The frame for which there was no memory comes first. */
static ssize_t hear_again(struct ipc_channel *ch)
{
    int r = take_frames(ch);

    return r < 0 || is_over(ch) ? r : hear(ch);
}

/* Flushing watches for reading, too, when there was memory. */
static void on_retry(void *arg)
{
    struct ipc_channel *ch = arg;

    ch->busy++;
    if (ch->tries && ch->state == CHANNEL_WORKS)
        go_on(ch, hear_again(ch));
    flush(ch);
    leave(ch);
}

/* 0, or why it can't be read to the end. One that shut only its receiving side can go on sending:
 * that has a bound. */
static int read_out(struct ipc_channel *ch)
{
    size_t total = 0;
    ssize_t size = 1;

    set_state(ch, CHANNEL_READ_OUT);
    while (size > 0 && ch->state == CHANNEL_READ_OUT && total < READ_OUT_BYTES) {
        size = hear_again(ch);
        total += size > 0 ? (size_t)size : 0;
    }
    if (size > 0)
        return ch->state == CHANNEL_READ_OUT ? -EPROTO : 0;
    return size == -EAGAIN || size == -ECONNRESET ? 0 : (int)size;
}

/* The channel gets lost for something else than what it says: that is heard to its end before. */
static void part(struct ipc_channel *ch, int error)
{
    if (ch->state != CHANNEL_WORKS)
        return;
    ch->busy++;
    int r = read_out(ch);
    lose(ch, error ? error : r);
    leave(ch);
}

void ipc_channel_read_out(struct ipc_channel *ch)
{
    if (!ch || ch->state != CHANNEL_WORKS)
        return;
    assert(!ch->busy);
    ch->busy++;
    read_out(ch);
    leave(ch);
}

/* `busy` keeps the channel's memory until the last handler has returned, though any of them may
 * free it. */
static void on_event(void *arg, int fd, unsigned events)
{
    struct ipc_channel *ch = arg;

    ch->busy++;
    if (events & IO_READ)
        go_on(ch, hear(ch));
    if (events & IO_WRITE)
        flush(ch);
    leave(ch);
}

int ipc_channel_new(struct io_loop *loop, int fd, const struct ipc_role *role, void *owner,
                    struct ipc_channel **out)
{
    struct ipc_channel *ch = calloc(1, sizeof(*ch));

    if (!ch)
        return -ENOMEM;
    *ch = (struct ipc_channel){.loop = loop,
                               .role = role,
                               .owner = owner,
                               .fd = fd,
                               .flush.fn = on_flush,
                               .wake.fn = on_wake,
                               .arena.limit = 4 * IPC_FRAME_MAX};
    list_init(&ch->waiters);
    int r = io_watch_new(loop, fd, on_event, ch, &ch->watch);
    if (r == 0)
        r = ipc_input_init(&ch->in);
    if (r == 0 &&
        (!arena_alloc(&ch->arena, ARENA_BYTES) || !buffer_reserve(&ch->out.bytes, OUT_BYTES)))
        r = -ENOMEM;
    if (r == 0)
        r = io_timer_new(loop, on_retry, ch, &ch->retry);
    if (r == 0)
        r = io_watch_set(ch->watch, IO_READ);
    if (r < 0) {
        /* On failure the descriptor stays the caller's. */
        ch->fd = -1;
        destroy(ch);
        return r;
    }
    *out = ch;
    return 0;
}
