/*
 * The report process under a queue that was taken over: any messages, well-formed or not; the queue
 * goes and comes again. Input: a byte for the type, the fields (fuzz_peer.h); type 0xFF stands for
 * raw bytes, 0xFE for another queue.
 *
 * It doesn't end; each report that is asked for is answered, at once and once, and what was written
 * begins with a field.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "proc/report/service.h"

enum { OPS_MAX = 20, TURNS = 6 };

static struct play {
    struct io_loop *loop;
    struct report_service service;
    struct fuzz_peer queue;
    bool raw; /* what follows may be taken for a part of it */
} play;

static void on_message(void *arg, const struct ipc_frame *frame, const struct ipc_message *message)
{
    const struct ipc_reported *r = &message->reported;

    if (message->type == IPC_REPORTED && r->error == 0)
        assert(r->message.size && r->message.data[0] > ' ' && span_find(r->message, ':') > 0);
}

static void connect_queue(void)
{
    fuzz_peer_close(&play.queue);
    play.raw = false;
    assert(report_service_connect(&play.service, play.loop, fuzz_peer_open(&play.queue)) == 0);
}

static void op(struct span *in)
{
    uint8_t type = fuzz_take(in);
    uint64_t asked = play.queue.asked;

    if (play.queue.fd < 0 || type == 0xFE)
        connect_queue();
    play.raw |= type == 0xFF;
    if (type == 0xFF)
        fuzz_peer_send_raw(&play.queue, in);
    else if (type != 0xFE)
        fuzz_peer_send_any(&play.queue, type, in);
    bool is_report = type < 0xFE && type % IPC_TYPE_COUNT == IPC_REPORT && play.queue.asked > asked;
    uint64_t answered = play.queue.answered;
    for (int i = 0; i < TURNS; i++) { /* what is large goes through the socket in parts */
        fuzz_peer_flush(&play.queue);
        assert(io_loop_turn(play.loop) == 0);
        fuzz_peer_read(&play.queue, on_message, NULL);
    }
    assert(!is_report || play.raw || play.queue.fd < 0 || play.queue.answered == answered + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);

    log_open("fuzz", LOG_LEVEL_ERROR + 1);
    play = (struct play){.queue.fd = -1};
    assert(io_loop_new(&play.loop) == 0);
    connect_queue();
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&in);
    ipc_channel_free(play.service.queue);
    fuzz_peer_close(&play.queue);
    io_loop_free(play.loop);
    return 0;
}
