/*
 * A channel whose peer is hostile: bytes in any pieces, among them well-formed frames, while we
 * call it, notify it and wait for credit; it closes its socket or half of it, and we may read the
 * channel out before it is freed. Input: operations of a byte and what belongs to it. Each of our
 * calls ends exactly once, the channel is lost at most once, and what it queues is bounded.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "ipc/channel.h"
#include <errno.h>

enum { CALLS = 4, OPS_MAX = 64 };

struct call {
    struct ipc_call call; /* first */
    unsigned ended, begun;
};

struct play {
    struct io_loop *loop;
    struct ipc_channel *channel;
    struct fuzz_peer peer;
    struct call calls[CALLS];
    struct ipc_waiter waiter;
    unsigned lost;
    bool free_in_handler, reads_out;
    size_t held;
};

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct call *c = (struct call *)call;

    assert(++c->ended <= c->begun);
    assert(!reply || reply->type == IPC_RESOLVED || reply->type == IPC_UPLOAD_TAKEN);
}

static void on_wait(struct ipc_waiter *waiter)
{
}

/* Not in a handler. What it is told in this is told by the channel that it has. */
static void read_out(struct play *p)
{
    unsigned lost = p->lost;

    if (p->reads_out)
        ipc_channel_read_out(p->channel);
    assert(p->lost == lost);
}

static void leave(struct play *p)
{
    ipc_wait_cancel(&p->waiter);
    ipc_channel_free(p->channel);
    p->channel = NULL;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct play *p = owner;

    assert(++p->lost == 1);
    if (p->free_in_handler)
        leave(p);
}

/* A call: answered at once. */
static void on_expand(void *owner, const struct ipc_arrival *arrival)
{
    const struct ipc_message reply = {.type = IPC_EXPANDED};
    struct play *p = owner;

    ipc_reply(arrival->channel, arrival->token, &reply);
    if (p->free_in_handler && arrival->message->expand.address.size == 3)
        leave(p);
}

/* Bodies: their bytes are confirmed later. */
static void on_chunk(void *owner, const struct ipc_arrival *arrival)
{
    struct play *p = owner;

    p->held += ipc_hold(arrival);
    assert(p->held <= IPC_BODY_WINDOW + IPC_FRAME_MAX);
}

static void on_event(void *owner, const struct ipc_arrival *arrival)
{
}

static const struct ipc_handler handlers[] = {
    {IPC_EXPAND, on_expand}, {IPC_UPLOAD_CHUNK, on_chunk}, {IPC_EVENT, on_event}};
static const struct ipc_role role = {"fuzz", handlers, ARRAY_SIZE(handlers), on_lost, false};

static void turn(struct play *p)
{
    fuzz_peer_flush(&p->peer);
    for (int i = 0; i < 3; i++)
        assert(io_loop_turn(p->loop) == 0);
    fuzz_peer_read(&p->peer, NULL, NULL);
    assert(!p->channel || ipc_channel_queued(p->channel) < 4 * IPC_CONTROL_WINDOW);
}

/* ---- what we do ---- */

static void call(struct play *p, uint8_t which)
{
    struct call *c = &p->calls[which % CALLS];
    const struct ipc_message messages[] = {
        {.type = IPC_RESOLVE, .resolve = {.name = SPAN("a.test"), .type = 15}},
        {.type = IPC_UPLOAD_CHUNK, .upload_chunk = {.upload = 1, .bytes = SPAN("x")}}};

    if (ipc_call_is_pending(&c->call)) {
        ipc_call_cancel(&c->call);
        c->ended++;
        return;
    }
    c->call.fn = on_reply;
    c->begun++;
    if (ipc_call(p->channel, &c->call, &messages[which / CALLS % 2]) < 0)
        c->ended++;
}

static void act(struct play *p, uint8_t what)
{
    const struct ipc_message notice = {.type = IPC_PRESSURE, .pressure = {.text = SPAN("full")}};

    if (what < 100) {
        call(p, what);
    } else if (what < 150) {
        (void)ipc_notify(p->channel, &notice);
    } else if (what < 200) {
        ipc_wait(p->channel, &p->waiter);
    } else if (what < 250) {
        ipc_release(p->channel, IPC_CLASS_BODY, p->held);
        p->held = 0;
    } else if (what < 252) {
        fuzz_peer_close(&p->peer);
    } else {
        shutdown(p->peer.fd, what & 1 ? SHUT_RD : SHUT_WR);
    }
}

/* ---- what the peer does ---- */

static void send_frame(struct play *p, struct span *in)
{
    struct arena arena = ARENA_INIT;
    uint8_t type = fuzz_take(in);
    struct ipc_message message = {.type = (enum ipc_type)(type % IPC_TYPE_COUNT)};
    const struct ipc_row *row = ipc_row(message.type);

    if (row) {
        fuzz_fill(row->codec, in, &arena, (char *)&message + offsetof(struct ipc_message, credit));
        fuzz_peer_send(&p->peer, &message, type);
    }
    arena_done(&arena);
}

static void send_raw(struct play *p, struct span *in)
{
    uint8_t size = fuzz_take(in);

    buffer_append_span(&p->peer.out, span_first(*in, size));
    p->peer.asked += size;
    *in = span_from(*in, size);
}

static void op(struct play *p, struct span *in)
{
    uint8_t what = fuzz_take(in);

    if (what < 120)
        send_frame(p, in);
    else if (what < 140)
        send_raw(p, in);
    else if (p->channel)
        act(p, fuzz_take(in));
    if (what & 1)
        turn(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct play p = {.waiter.fn = on_wait};

    log_open("fuzz", LOG_LEVEL_ERROR);
    uint8_t how = fuzz_take(&in);
    p.free_in_handler = how & 1;
    p.reads_out = how & 2;
    assert(io_loop_new(&p.loop) == 0);
    assert(ipc_channel_new(p.loop, fuzz_peer_open(&p.peer), &role, &p, &p.channel) == 0);
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&p, &in);
    turn(&p);
    fuzz_peer_flush(&p.peer);
    if (p.channel)
        read_out(&p);
    fuzz_peer_close(&p.peer);
    if (p.channel)
        leave(&p);
    for (size_t i = 0; i < CALLS; i++)
        assert(p.calls[i].ended == p.calls[i].begun);
    io_loop_free(p.loop);
    return 0;
}
