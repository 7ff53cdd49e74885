/*
 * The resolver's service between askers that were taken over and a libunbound that answers
 * anything, late, out of order, in bursts or never. Input: a byte that picks what happens, then its
 * fields (fuzz_peer.h); libunbound's functions are defined here.
 *
 * It doesn't end; each question is answered at most once, and once when its asker stays; what
 * failed validation is never handed on; a violation costs only its sender the channel.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "proc/resolver/service.h"
#include <stdlib.h>

enum { ASKERS = 2, OPS_MAX = 60, QUERIES_MAX = 256, RECORDS_MAX = 300, RECORD_BYTES_MAX = 65535 };

static struct play {
    struct io_loop *loop;
    struct service service;
    struct fuzz_peer askers[ASKERS];
    struct {
        void *arg;
        ub_callback_type done;
        int id;
    } queries[QUERIES_MAX]; /* that libunbound has */
    size_t query_count;
    int last_id;
    int signal[2];   /* readable: answers are there */
    struct span *in; /* what they are made of */
    bool bogus;      /* the answer under way */
} play;

/* ---- libunbound ---- */

int ub_fd(struct ub_ctx *context)
{
    return play.signal[0];
}

int ub_resolve_async(struct ub_ctx *context, const char *name, int type, int class_, void *arg,
                     ub_callback_type done, int *out_id)
{
    if (play.query_count == QUERIES_MAX)
        return -1;
    play.queries[play.query_count].arg = arg;
    play.queries[play.query_count].id = *out_id = ++play.last_id;
    play.queries[play.query_count++].done = done;
    return 0;
}

int ub_cancel(struct ub_ctx *context, int id)
{
    size_t i = 0;

    while (i < play.query_count && play.queries[i].id != id)
        i++;
    assert(i < play.query_count);
    play.queries[i] = play.queries[--play.query_count];
    return 0;
}

const char *ub_strerror(int error)
{
    return "an error";
}

void ub_ctx_delete(struct ub_ctx *context)
{
}

void ub_resolve_free(struct ub_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; result->data && result->data[i]; i++)
        free(result->data[i]);
    free(result->data);
    free(result->len);
    free(result->why_bogus);
    free(result->answer_packet);
    free(result);
}

static char *take_text(size_t *out_size)
{
    struct arena arena = ARENA_INIT;
    struct span text = fuzz_take_span(play.in, &arena, 9000);
    char *copy = calloc(1, text.size + 1);

    assert(copy);
    if (text.size)
        memcpy(copy, text.data, text.size);
    if (out_size)
        *out_size = text.size;
    arena_done(&arena);
    return copy;
}

/* An answer is no larger than a DNS packet. */
static void take_records(struct ub_result *result)
{
    size_t count = fuzz_take(play.in), total = 0, size;

    count = count > 250 ? RECORDS_MAX : count % 8;
    result->data = calloc(count + 1, sizeof(*result->data));
    result->len = calloc(count + 1, sizeof(*result->len));
    assert(result->data && result->len);
    for (size_t i = 0; i < count; i++) {
        char *data = take_text(&size);
        total += size;
        if (total > RECORD_BYTES_MAX) {
            free(data);
            return;
        }
        result->data[i] = data;
        result->len[i] = (int)size;
    }
}

static struct ub_result *make_result(void)
{
    struct ub_result *result = calloc(1, sizeof(*result));
    uint8_t how = fuzz_take(play.in);
    size_t size;

    assert(result);
    result->qtype = fuzz_take(play.in);
    result->rcode = how & 15;
    result->secure = how >> 4 & 1;
    result->bogus = play.bogus = how >> 5 & 1;
    take_records(result);
    if (how & 32)
        result->why_bogus = take_text(NULL);
    result->answer_packet = take_text(&size);
    result->answer_len = (int)size;
    return result;
}

static void on_message(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    const struct ipc_resolved *r = &message->resolved;

    assert(message->type == IPC_RESOLVED || message->type == IPC_CREDIT);
    if (message->type == IPC_RESOLVED && r->security == IPC_SECURITY_BOGUS)
        assert(r->rdata_count == 0);
}

static void read_askers(void)
{
    for (size_t i = 0; i < ASKERS; i++)
        fuzz_peer_read(&play.askers[i], on_message, NULL);
}

static void answer_one(size_t which)
{
    void *arg = play.queries[which].arg;
    ub_callback_type done = play.queries[which].done;
    uint8_t how = fuzz_take(play.in);

    play.queries[which] = play.queries[--play.query_count];
    done(arg, how > 240 ? how : 0, how > 240 ? NULL : make_result());
}

int ub_process(struct ub_ctx *context)
{
    char byte;

    while (read(play.signal[0], &byte, 1) == 1)
        if (play.query_count)
            answer_one((uint8_t)byte % play.query_count);
    return 0;
}

/* ---- a place for it ---- */

static void connect_asker(size_t i)
{
    fuzz_peer_close(&play.askers[i]);
    assert(service_connect(&play.service, IPC_PEER_SMTP, (unsigned)i,
                           fuzz_peer_open(&play.askers[i])) == 0);
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        assert(io_loop_turn(play.loop) == 0);
    read_askers();
}

static void begin(struct span *in)
{
    static char context; /* what a libunbound is */

    play = (struct play){.in = in, .askers = {{.fd = -1}, {.fd = -1}}};
    assert(io_loop_new(&play.loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, play.signal) == 0);
    assert(service_init(&play.service, play.loop, (struct ub_ctx *)&context, NULL) == 0);
    uint8_t how = fuzz_take(in);
    if (how & 1)
        play.service.deadline_ms = 0; /* each question is late in the next turn */
    if (how & 2)
        play.service.forget_ms = 0; /* and given up in the one behind it */
    for (size_t i = 0; i < ASKERS; i++)
        connect_asker(i);
}

static void end(void)
{
    while (play.query_count)
        answer_one(0);
    turn();
    assert(play.service.open_count == 0);
    assert(list_is_empty(&play.service.abandoned));
    service_done(&play.service);
    for (size_t i = 0; i < ASKERS; i++)
        fuzz_peer_close(&play.askers[i]);
    close(play.signal[0]);
    close(play.signal[1]);
    io_loop_free(play.loop);
}

/* ---- what happens ---- */

static void ask(struct fuzz_peer *asker, struct span *in)
{
    static const char *const names[] = {"a.test", "mail.b.test", "A.TEST."};
    struct ipc_message m = {.type = IPC_RESOLVE};
    uint8_t how = fuzz_take(in);

    m.resolve.name = span_from_cstr(names[how % ARRAY_SIZE(names)]);
    m.resolve.type = how;
    fuzz_peer_send(asker, &m, how);
}

static void op(struct span *in)
{
    enum { ASK, ANSWER, OTHER, RAW, LEAVE };
    static const uint8_t acts[] = {ASK, ASK, ASK, ANSWER, ANSWER, OTHER, RAW, LEAVE};
    uint8_t which = fuzz_take(in);
    struct fuzz_peer *asker = &play.askers[which >> 7];
    uint8_t act = acts[which % ARRAY_SIZE(acts)], byte;

    if (asker->fd < 0)
        connect_asker(which >> 7);
    if (act == ASK)
        ask(asker, in);
    else if (act == OTHER)
        fuzz_peer_send_any(asker, fuzz_take(in), in);
    else if (act == RAW)
        fuzz_peer_send_raw(asker, in);
    else if (act == LEAVE)
        fuzz_peer_close(asker);
    else if (byte = fuzz_take(in), write(play.signal[1], &byte, 1) != 1)
        abort();
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);

    log_open("fuzz", LOG_LEVEL_ERROR + 1);
    begin(&in);
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&in);
    end();
    return 0;
}
