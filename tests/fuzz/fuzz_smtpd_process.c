/*
 * smtpd, but for its sandbox, between hostile clients, a directory and a queue that were taken
 * over: verdicts and answers of any kind, late, doubled or never, pressure, ends; clients that say
 * anything and go. Input: a byte that picks what happens, then its fields (fuzz_peer.h).
 *
 * It doesn't end; its calls are right; a client hears "queued as" no more often than the queue has
 * answered a commit; all sessions end when their clients do.
 */
#include "fuzz_peer.h"

#include "base/log.h"
#include "proc/smtpd/life.h"
#include <signal.h>
#include <sys/un.h>

enum { OPS_MAX = 60, CLIENTS = 3 };

static struct play {
    struct smtpd smtpd;
    struct fuzz_peer directory, queue;
    int clients[CLIENTS]; /* -1: none */
    struct buffer heard;  /* by a client, the line that isn't complete */
    size_t promises, answers;
    bool raw;
} play;

/* ---- a place for it ---- */

static int listen_somewhere(void)
{
    struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert(bind(fd, (struct sockaddr *)&nameless, sizeof(sa_family_t)) == 0 && listen(fd, 4) == 0);
    return fd;
}

static void configure(void)
{
    const struct conf_smtpd conf = {.generation = 1,
                                    .hostname = SPAN("mx.test"),
                                    .banner = SPAN("ESMTP"),
                                    .message_size_max = 1 << 20,
                                    .recipients_max = 100,
                                    .hops_max = 50,
                                    .connections_max = 10,
                                    .errors_max = 10,
                                    .command_timeout_ms = 300000,
                                    .data_timeout_ms = 300000,
                                    .message_timeout_ms = 300000,
                                    .session_timeout_ms = 300000};
    struct smtpd *s = &play.smtpd;
    struct buffer part = BUFFER_INIT;

    assert(codec_encode(&conf_smtpd_codec, &conf, &part) == 0);
    assert(smtpd_generation_new(s, buffer_span(&part), &s->coming) == 0);
    assert(smtpd_listener_add(s->coming, SPAN("mx"), SPAN("mx"), listen_somewhere()) == 0);
    smtpd_use_coming(s);
    buffer_done(&part);
}

static void join(enum ipc_peer kind, struct fuzz_peer *peer)
{
    fuzz_peer_close(peer);
    assert(smtpd_connect(&play.smtpd, kind, fuzz_peer_open(peer)) == 0);
}

static void begin(void)
{
    play = (struct play){.clients = {-1, -1, -1}, .directory.fd = -1, .queue.fd = -1};
    assert(io_loop_new(&play.smtpd.process.loop) == 0 && smtpd_init(&play.smtpd) == 0);
    configure();
    join(IPC_PEER_DIRECTORY, &play.directory);
    join(IPC_PEER_QUEUE, &play.queue);
}

static void dial(int i)
{
    const struct smtp_server_client client = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [15] = 7}, .port = 999, .uid = UINT32_MAX};
    struct smtpd_generation *g = play.smtpd.in_force;
    int fds[2];

    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    play.clients[i] = fds[0];
    smtpd_update_time(&play.smtpd);
    smtpd_session_begin(CONTAINER_OF(g->listeners.next, struct smtpd_listener, link), fds[1],
                        &client);
}

/* ---- turns ---- */

static void hear(int i)
{
    char bytes[4096];
    ssize_t n;

    while (play.clients[i] >= 0 && (n = read(play.clients[i], bytes, sizeof(bytes))) >= 0) {
        struct span text = span_of(bytes, n > 0 ? (size_t)n : 0);
        for (ptrdiff_t at; (at = span_find(text, '\n')) >= 0;
             text = span_from(text, (size_t)at + 1)) {
            buffer_append_span(&play.heard, span_first(text, (size_t)at));
            play.promises += span_starts_nocase(buffer_span(&play.heard), SPAN("250 2.0.0 queued"));
            buffer_clear(&play.heard);
        }
        buffer_append_span(&play.heard, text);
        if (n > 0)
            continue;
        close(play.clients[i]);
        play.clients[i] = -1;
    }
    buffer_clear(&play.heard); /* replies come whole, or the next one is another client's */
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        assert(io_loop_turn(play.smtpd.process.loop) == 0);
    fuzz_peer_read(&play.directory, NULL, NULL);
    fuzz_peer_read(&play.queue, NULL, NULL);
    for (int i = 0; i < CLIENTS; i++)
        hear(i);
    assert(play.raw || play.promises <= play.answers);
}

static void hang_up(int i)
{
    if (play.clients[i] >= 0)
        close(play.clients[i]);
    play.clients[i] = -1;
}

static void end(void)
{
    struct smtpd *s = &play.smtpd;

    for (int i = 0; i < CLIENTS; i++)
        hang_up(i);
    fuzz_peer_close(&play.directory);
    fuzz_peer_close(&play.queue);
    for (int i = 0; i < 5; i++)
        turn();
    assert(s->session_count == 0);
    ipc_channel_free(s->directory);
    ipc_channel_free(s->queue);
    smtpd_outbox_connect(&s->to_directory, NULL);
    smtpd_outbox_connect(&s->to_queue, NULL);
    smtpd_generation_unref(s->in_force);
    smtpd_refusals_done(&s->refusals);
    io_timer_free(s->tick);
    io_loop_free(s->process.loop);
    buffer_done(&play.heard);
}

/* ---- what happens ---- */

static void speak(struct span *in)
{
    static const char *const lines[] = {"EHLO c.test\r\n",
                                        "MAIL FROM:<al@b.test>\r\n",
                                        "RCPT TO:<bob@a.test>\r\n",
                                        "DATA\r\n",
                                        "hello\r\n.\r\n",
                                        "BDAT 3 LAST\r\nabc",
                                        "BDAT 70000\r\n",
                                        "RSET\r\n",
                                        "QUIT\r\n",
                                        "MAIL FROM:<>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\n"};
    struct arena arena = ARENA_INIT;
    uint8_t which = fuzz_take(in), how = fuzz_take(in);
    int i = which % CLIENTS;

    if (play.clients[i] < 0)
        dial(i);
    if (how < 160)
        fuzz_say(play.clients[i], span_from_cstr(lines[how % ARRAY_SIZE(lines)]));
    else if (how < 248)
        fuzz_say(play.clients[i], fuzz_take_span(in, &arena, 200000));
    else
        hang_up(i);
    arena_done(&arena);
}

/* The reply that the oldest call of a peer waits for, with fields from the input. */
static void answer(struct fuzz_peer *peer, struct span *in)
{
    if (!peer->call_count)
        return;
    enum ipc_type type = ipc_row(peer->calls[0].type)->reply;
    play.answers += type == IPC_COMMITTED;
    fuzz_peer_send_any(peer, (uint8_t)type, in);
}

static void send_other(struct fuzz_peer *peer, struct span *in)
{
    uint8_t type = fuzz_take(in);

    if (type == 0xFF) {
        play.raw = true;
        fuzz_peer_send_raw(peer, in);
        return;
    }
    play.answers += type % IPC_TYPE_COUNT == IPC_COMMITTED;
    fuzz_peer_send_any(peer, type, in);
}

static void op(struct span *in)
{
    uint8_t which = fuzz_take(in);

    if (play.directory.fd < 0 || which == 0xFF)
        join(IPC_PEER_DIRECTORY, &play.directory);
    if (play.queue.fd < 0 || which == 0xFE)
        join(IPC_PEER_QUEUE, &play.queue);
    switch (which % 8) {
    case 0:
    case 1:
    case 2:
        speak(in);
        break;
    case 3:
    case 4:
        answer(&play.directory, in);
        break;
    case 5:
        answer(&play.queue, in);
        break;
    default:
        send_other(which % 8 == 6 ? &play.directory : &play.queue, in);
        break;
    }
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);

    log_open("fuzz", LOG_LEVEL_ERROR + 1);
    signal(SIGPIPE, SIG_IGN); /* as process_main() does */
    begin();
    for (int i = 0; in.size && i < OPS_MAX; i++)
        op(&in);
    end();
    return 0;
}
