/* smtpd between a client's socket, a directory and a queue that are played here, in one loop. */
#include "../../unit.h"

#include "proc/smtpd/life.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct world {
    struct smtpd smtpd;
    struct io_loop *loop;
    struct ipc_channel *directory, *queue;
    int peer_fd; /* smtpd's end of whoever is played since last */
    int port;
    struct sockaddr_un local;
    socklen_t local_size;
    int client;
    struct buffer said; /* by the server, not looked at yet */
    bool closed;

    uint64_t last_client;
    unsigned recipients; /* asked about; a recipient's ticket is full of its number */
    char tickets[200];   /* the first byte of each, of the last message */
    unsigned checks, gone, refused_by_gone, events, aborts, commits;
    bool hold_commit, hold_chunks, hold_recipients;
    bool trusted; /* who comes */
    bool many;    /* clients at a time, which the directory doesn't tell apart */
    uint64_t commit_token, chunk_tokens[16];
    unsigned chunk_count, held_chunks;
    int chunk_error; /* that they are answered with */
    size_t uploaded, body_size;
    uint64_t number; /* of the last upload */
    char recipient[200];
};

/* ---- the directory ---- */

/* The other end of what smtpd hands over is the test's own socket. */
static bool is_the_client(const struct world *w, int fd)
{
    struct sockaddr_in theirs = {0}, ours = {0};
    socklen_t size = sizeof(theirs), own_size = sizeof(ours);

    return getpeername(fd, (struct sockaddr *)&theirs, &size) == 0 &&
           getsockname(w->client, (struct sockaddr *)&ours, &own_size) == 0 &&
           theirs.sin_port == ours.sin_port;
}

static void on_client_check(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    struct ipc_message verdict = {
        .type = IPC_CLIENT_VERDICT,
        .client_verdict = {.action = IPC_CLIENT_ACCEPT, .trusted = w->trusted}};

    w->checks++;
    w->last_client = arrival->message->client_check.client;
    assert_true(w->many || is_the_client(w, arrival->fd));
    close(arrival->fd);
    ipc_reply(arrival->channel, arrival->token, &verdict);
}

static void on_client_gone(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;

    w->gone++;
    assert_true(w->many || arrival->message->client_gone.client == w->last_client);
    w->refused_by_gone += arrival->message->client_gone.refused;
}

static void on_rcpt_check(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    const struct ipc_rcpt_check *check = &arrival->message->rcpt_check;
    struct ipc_message reply = {.type = IPC_RCPT_VERDICT};

    assert_int_equal(check->client, w->last_client);
    if (w->hold_recipients)
        return;
    if (span_equal(check->address, SPAN("x@far.test")))
        reply.rcpt_verdict.action = IPC_RCPT_DENIED;
    else if (span_equal(check->address, SPAN("x@relay.test")))
        reply.rcpt_verdict.action = IPC_RCPT_RELAY;
    else if (span_equal(check->address, SPAN("eve@a.test")))
        reply.rcpt_verdict.action = IPC_RCPT_UNKNOWN;
    else if (span_equal(check->address, SPAN("bob@a.test")))
        reply.rcpt_verdict = (struct ipc_rcpt_verdict){
            .action = IPC_RCPT_ACCEPT, .expands = true, .address = SPAN("canonical@a.test")};
    else
        reply.rcpt_verdict = (struct ipc_rcpt_verdict){
            .action = IPC_RCPT_ACCEPT, .expands = true, .address = check->address};
    memset(reply.rcpt_verdict.ticket, ++w->recipients, IPC_TICKET_BYTES);
    ipc_reply(arrival->channel, arrival->token, &reply);
}

/* ---- the queue ---- */

static void answer_commit(struct world *w)
{
    struct ipc_message reply = {.type = IPC_COMMITTED, .committed.result = IPC_COMMIT_ACCEPTED};
    ipc_reply(w->queue, w->commit_token, &reply);
}

static void on_commit(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    const struct ipc_commit *c = &arrival->message->commit;
    struct arena arena = ARENA_INIT;
    struct envelope e;

    assert_int_equal(codec_decode(&envelope_codec, c->envelope, &arena, &e), 0);
    assert_int_equal(c->tickets.size, e.recipient_count * IPC_TICKET_BYTES);
    memset(w->tickets, 0, sizeof(w->tickets));
    for (size_t i = 0; i < e.recipient_count; i++)
        w->tickets[i] = c->tickets.data[i * IPC_TICKET_BYTES];
    w->commits++;
    w->commit_token = arrival->token;
    w->body_size = c->upload ? w->uploaded : c->body.size;
    assert_int_equal(e.size_bytes, w->body_size);
    memcpy(w->recipient, e.recipients[0].address.data, e.recipients[0].address.size + 1);
    assert_true(span_starts_nocase(c->header, SPAN("Received: from x ([127.0.0.1])")));
    arena_done(&arena);
    if (!w->hold_commit)
        answer_commit(w);
}

static void take_chunks(struct world *w)
{
    struct ipc_message taken = {.type = IPC_UPLOAD_TAKEN, .upload_taken.error = w->chunk_error};

    for (unsigned i = 0; i < w->held_chunks; i++)
        ipc_reply(w->queue, w->chunk_tokens[i], &taken);
    w->held_chunks = 0;
}

static void on_chunk(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;

    w->chunk_count++;
    w->number = arrival->message->upload_chunk.upload;
    w->uploaded += arrival->message->upload_chunk.bytes.size;
    w->chunk_tokens[w->held_chunks++] = arrival->token;
    assert_true(w->held_chunks <= SMTPD_UPLOAD_CALLS_MAX);
    if (!w->hold_chunks)
        take_chunks(w);
}

static void on_abort(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    w->aborts++;
}

static void on_event(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;
    w->events++;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static const struct ipc_handler directory_handlers[] = {{IPC_CLIENT_CHECK, on_client_check},
                                                        {IPC_CLIENT_GONE, on_client_gone},
                                                        {IPC_RCPT_CHECK, on_rcpt_check}};
static const struct ipc_handler queue_handlers[] = {{IPC_COMMIT, on_commit},
                                                    {IPC_UPLOAD_CHUNK, on_chunk},
                                                    {IPC_UPLOAD_ABORT, on_abort},
                                                    {IPC_EVENT, on_event}};
static const struct ipc_role directory_role = {.peer_name = "smtpd",
                                               .handlers = directory_handlers,
                                               .handler_count = ARRAY_SIZE(directory_handlers),
                                               .lost = on_lost,
                                               .takes_fds = true};
static const struct ipc_role queue_role = {.peer_name = "smtpd",
                                           .handlers = queue_handlers,
                                           .handler_count = ARRAY_SIZE(queue_handlers),
                                           .lost = on_lost};

/* ---- the world ---- */

static struct ipc_channel *play(struct world *w, enum ipc_peer kind, const struct ipc_role *role)
{
    struct ipc_channel *channel;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], role, w, &channel), 0);
    assert_int_equal(smtpd_connect(&w->smtpd, kind, fds[0]), 0);
    w->peer_fd = fds[0];
    return channel;
}

static int listen_somewhere(struct world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    /* As the supervisor does it: sessions of before aren't in the way. */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    w->port = ntohs(a.sin_port);
    return fd;
}

/* A name of the kernel's choice, that no file has. */
static int listen_locally(struct world *w)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 16), 0);
    w->local_size = sizeof(w->local);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&w->local, &w->local_size), 0);
    return fd;
}

enum { SIZE_LIMIT = 10000000 };

static void configure(struct world *w, uint32_t connections_max, uint64_t message_size_max)
{
    const struct conf_smtpd conf = {.generation = 1,
                                    .hostname = SPAN("mx.test"),
                                    .banner = SPAN("ESMTP"),
                                    .message_size_max = message_size_max,
                                    .recipients_max = 100,
                                    .connections_max = connections_max,
                                    .errors_max = 10,
                                    .command_timeout_ms = 300000,
                                    .data_timeout_ms = 300000,
                                    .message_timeout_ms = 300000,
                                    .session_timeout_ms = 300000};
    struct buffer part = BUFFER_INIT;

    assert_int_equal(codec_encode(&conf_smtpd_codec, &conf, &part), 0);
    assert_int_equal(smtpd_generation_new(&w->smtpd, buffer_span(&part), &w->smtpd.coming), 0);
    assert_int_equal(
        smtpd_listener_add(w->smtpd.coming, SPAN("mx"), SPAN("mx"), listen_somewhere(w)), 0);
    assert_int_equal(
        smtpd_listener_add(w->smtpd.coming, SPAN("local"), SPAN("local"), listen_locally(w)), 0);
    smtpd_use_coming(&w->smtpd);
    buffer_done(&part);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(io_loop_new(&w->loop), 0);
    w->smtpd.process.loop = w->loop;
    assert_int_equal(smtpd_init(&w->smtpd), 0);
    configure(w, 10, SIZE_LIMIT);
    w->directory = play(w, IPC_PEER_DIRECTORY, &directory_role);
    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
    w->client = -1;
    *state = w;
    return 0;
}

static void turns(struct world *w)
{
    char bytes[4096];
    ssize_t n;

    /* Until nothing has moved for a while. */
    for (int quiet = 0; quiet < 30; quiet++) {
        size_t before = w->uploaded;
        assert_int_equal(io_loop_turn(w->loop), 0);
        if (w->uploaded != before)
            quiet = 0;
        while (w->client >= 0 && !w->closed && (n = read(w->client, bytes, sizeof(bytes))) >= 0) {
            w->closed = n == 0;
            buffer_append(&w->said, bytes, (size_t)n);
        }
    }
}

static void hang_up(struct world *w)
{
    if (w->client >= 0)
        close(w->client);
    w->client = -1;
    turns(w);
}

static int teardown(void **state)
{
    struct world *w = *state;

    hang_up(w);
    assert_int_equal(w->smtpd.session_count, 0);
    ipc_channel_free(w->directory);
    ipc_channel_free(w->queue);
    turns(w);
    ipc_channel_free(w->smtpd.directory);
    ipc_channel_free(w->smtpd.queue);
    smtpd_outbox_connect(&w->smtpd.to_directory, NULL);
    smtpd_outbox_connect(&w->smtpd.to_queue, NULL);
    smtpd_generation_unref(w->smtpd.in_force);
    smtpd_refusals_done(&w->smtpd.refusals);
    io_timer_free(w->smtpd.tick);
    io_loop_free(w->loop);
    buffer_done(&w->said);
    free(w);
    return 0;
}

static void dial(struct world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)w->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    w->closed = false;
    w->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(w->client, F_SETFL, O_NONBLOCK), 0);
    /* What is sent is there at once: turns() doesn't wait for time to pass. */
    setsockopt(w->client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    turns(w);
}

static void dial_locally(struct world *w)
{
    w->closed = false;
    w->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&w->local, w->local_size), 0);
    assert_int_equal(fcntl(w->client, F_SETFL, O_NONBLOCK), 0);
    turns(w);
}

/* False when the server reads no more. */
static bool transmit(struct world *w, const char *text, size_t size)
{
    for (int stalled = 0; size && stalled < 5;) {
        ssize_t n = send(w->client, text, size, MSG_DONTWAIT);
        stalled = n > 0 ? 0 : stalled + 1;
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
        if (size)
            turns(w);
    }
    return size == 0;
}

/* Sends and expects these codes, one a line; "" for none. */
static void say(struct world *w, const char *text, const char *codes)
{
    assert_true(transmit(w, text, strlen(text)));
    turns(w);
    struct span said = buffer_span(&w->said);
    while (*codes) {
        ptrdiff_t lf = span_find(said, '\n');
        if (lf < 3 || memcmp(said.data, codes, 3) != 0)
            print_error("expected %s, there is %.*s\n", codes, (int)said.size, said.data);
        assert_true(lf >= 3);
        assert_memory_equal(said.data, codes, 3);
        if (said.data[3] == ' ')
            codes += codes[3] ? 4 : 3;
        said = span_from(said, (size_t)lf + 1);
    }
    assert_int_equal(said.size, 0);
    buffer_clear(&w->said);
}

#define OPENING "MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@a.test>\r\n"

static void a_message(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "", "220");
    say(w, "EHLO x\r\n", "250");
    say(w, OPENING "DATA\r\n", "250 250 354");
    say(w, "hello\r\n.\r\nQUIT\r\n", "250 221");
    assert_true(w->closed);
    assert_int_equal(w->commits, 1);
    assert_int_equal(w->body_size, 7);
    assert_memory_equal(w->recipient, "canonical@a.test", 16);
    assert_int_equal(w->gone, 1);
    assert_int_equal(w->smtpd.accepted_messages, 1);
}

static void refusals_are_told(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "", "220");
    say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<eve@a.test>\r\nRCPT TO:<x@far.test>\r\n",
        "250 250 550 550");
    hang_up(w);
    assert_int_equal(w->events, 2);
    assert_int_equal(w->refused_by_gone, 2);
}

/* A letter to many, of whom some have left, reaches the others when one of ours sends it. */
static void strangers_only_are_cut_off_for_unknown_recipients(void **state)
{
    struct world *w = *state;

    for (int trusted = 0; trusted < 2; trusted++) {
        w->trusted = trusted;
        dial(w);
        say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n", "220 250 250");
        for (int i = 0; i < 99; i++)
            say(w, "RCPT TO:<eve@a.test>\r\n", "550");
        say(w, "RCPT TO:<eve@a.test>\r\n", trusted ? "550" : "550 421");
        if (trusted)
            say(w, "RCPT TO:<bob@a.test>\r\nDATA\r\n", "250 354");
        hang_up(w);
    }
}

static void recipients_to_be_relayed_are_taken(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "", "220");
    say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@relay.test>\r\n", "250 250 250");
    hang_up(w);
    assert_int_equal(w->events, 0);
    assert_int_equal(w->refused_by_gone, 0);
}

static void tickets_go_with_their_recipients(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "", "220");
    say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@relay.test>\r\n", "250 250 250");
    say(w, "RCPT TO:<x@far.test>\r\nRCPT TO:<eve@a.test>\r\nRCPT TO:<bob@a.test>\r\n",
        "550 550 250");
    say(w, "RCPT TO:<c@a.test>\r\nRCPT TO:<d@a.test>\r\nRCPT TO:<e@a.test>\r\nDATA\r\n",
        "250 250 250 354");
    say(w, "hello\r\n.\r\n", "250");
    assert_string_equal(w->tickets, "\1\4\5\6\7");
    hang_up(w);
}

/* It has never heard of a client that came before it. */
static void a_new_directory_is_told_who_is_there(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "", "220");
    say(w, "EHLO x\r\n" OPENING, "250 250 250");
    assert_int_equal(w->checks, 1);
    ipc_channel_free(w->directory);
    turns(w);
    w->directory = play(w, IPC_PEER_DIRECTORY, &directory_role);
    w->last_client = 0;
    say(w, "RCPT TO:<carol@a.test>\r\nRCPT TO:<dave@a.test>\r\n", "250 250");
    assert_int_equal(w->checks, 2);
    hang_up(w);
    assert_int_equal(w->gone, 1);
}

static void a_client_that_leaves_at_each_phase(void **state)
{
    static const char *const phases[] = {"",
                                         "EH",
                                         "EHLO x\r\n",
                                         "EHLO x\r\nMAIL FROM:<a@b.test>\r\n",
                                         "EHLO x\r\n" OPENING,
                                         "EHLO x\r\n" OPENING "DATA\r\nhel",
                                         "EHLO x\r\n" OPENING "BDAT 10\r\nhel"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        dial(w);
        assert_int_equal(send(w->client, phases[i], strlen(phases[i]), 0), strlen(phases[i]));
        turns(w);
        hang_up(w);
        buffer_clear(&w->said);
        assert_int_equal(w->smtpd.session_count, 0);
        assert_int_equal(w->gone, i + 1);
    }
    assert_int_equal(w->commits, 0);
}

static bool large_body(struct world *w, size_t lines)
{
    static const char line[] =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n";
    bool sent = true;

    for (size_t i = 0; sent && i < lines; i++)
        sent = transmit(w, line, sizeof(line) - 1);
    turns(w);
    return sent;
}

static void a_large_body_is_streamed(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_true(large_body(w, 10000));
    say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 780000);
    assert_true(w->chunk_count >= 11);
    assert_int_equal(w->aborts, 0);
    /* And another one in the same session. */
    w->uploaded = 0;
    say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 1000));
    say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 78000);
}

static void a_slow_queue_slows_the_client(void **state)
{
    struct world *w = *state;

    w->hold_chunks = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_false(large_body(w, 200000));
    /* All chunks that may are under way, and not much more was read. */
    assert_int_equal(w->chunk_count, SMTPD_UPLOAD_CALLS_MAX);
    struct smtpd_session *s = CONTAINER_OF(w->smtpd.sessions.next, struct smtpd_session, link);
    assert_true(s->input.size <= SMTPD_READ_BYTES);
    /* It leaves; that is seen when the queue goes on. */
    close(w->client);
    w->client = -1;
    w->hold_chunks = false;
    take_chunks(w);
    turns(w);
    turns(w);
    assert_int_equal(w->smtpd.session_count, 0);
    assert_int_equal(w->aborts, 1);
    assert_int_equal(w->commits, 0);
}

/* While it comes, or when the whole of it waits to be committed: the client is told why. "Too
 * large" only when that is so by what is in force here, too; the queue's limit may be an older one.
 */
static void the_queue_s_reason_is_told(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "EHLO x\r\n", "220 250");
    for (int i = 0; i < 6; i++) {
        static const uint64_t limits[] = {SIZE_LIMIT, 100000, 0};
        static const char *const replies[] = {"451", "552", "451"};
        const char *reply = replies[i / 2];
        bool waits = i % 2;
        configure(w, 10, limits[i / 2]);
        w->chunk_error = -EMSGSIZE;
        w->hold_chunks = waits;
        say(w, OPENING "DATA\r\n", "250 250 354");
        assert_true(large_body(w, 3000));
        say(w, ".\r\n", waits ? "" : reply);
        if (waits) {
            take_chunks(w);
            say(w, "", reply);
        }
        assert_int_equal(w->commits, 0);
    }
}

/* It has none of what came before: not half of a message may be committed, nor refused for good. */
static void a_new_queue_gets_no_rest_of_a_body(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_true(large_body(w, 3000));
    assert_true(w->chunk_count > 0);
    ipc_channel_free(w->queue);
    turns(w);
    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
    w->uploaded = 0;
    assert_true(large_body(w, 3000));
    say(w, ".\r\n", "451");
    assert_int_equal(w->commits, 0);
    w->uploaded = 0;
    say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 3000));
    say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 234000);
}

/* The session gives it up; the next message is one of its own. */
static void a_queue_that_stalls_too_long(void **state)
{
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);

    l->settings.answer_timeout_ms = 1000;
    w->hold_chunks = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_false(large_body(w, 200000));
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    w->hold_chunks = false;
    for (int i = 0; i < 10; i++) /* what lies in the socket is read to its end */
        turns(w);
    say(w, "\r\n.\r\n", "451");
    assert_int_equal(w->aborts, 1);
    take_chunks(w); /* late */
    w->uploaded = 0;
    say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 3000));
    say(w, ".\r\n", "250");
    assert_int_equal(w->commits, 1);
    assert_int_equal(w->body_size, 234000);
    assert_int_equal(w->number, 2);
}

/* What is answered for it is written, though more is asked at once. */
static void a_directory_that_hangs(void **state)
{
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);
    struct buffer recipients = BUFFER_INIT;

    l->settings.answer_timeout_ms = 1000;
    w->hold_recipients = true;
    for (int i = 0; i < 34; i++)
        buffer_printf(&recipients, "RCPT TO:<r%d@a.test>\r\n", i);
    buffer_append_byte(&recipients, '\0');
    dial(w);
    say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n", "220 250 250");
    say(w, recipients.data, "");
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    say(w, "",
        "451 451 451 451 451 451 451 451 451 451 451 451 451 451 451 451 "
        "451 451 451 451 451 451 451 451 451 451 451 451 451 451 451 451");
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    say(w, "", "451 451");
    buffer_done(&recipients);
}

/* As many lines as there are replies, the last of which begins with `code`. */
static void expect_replies(struct world *w, size_t count, const char *code)
{
    size_t lines = 0, start = 0;

    for (size_t i = 0; i < w->said.size; i++)
        if (w->said.data[i] == '\n' && ++lines < count)
            start = i + 1;
    assert_int_equal(lines, count);
    assert_memory_equal(w->said.data + start, code, 3);
    buffer_clear(&w->said);
}

/* More replies than are kept for a client that doesn't read: what was read goes on when they are
 * written, and nothing else would make it. */
static void all_of_a_pipeline_is_answered(void **state)
{
    static const struct {
        const char *mail, *last_reply;
        int recipients, recipients_max;
    } cases[] = {{"MAIL FROM:<a@b.test>\r\n", "354", 400, 100},
                 {"MAIL FROM:<a@b.test> SIZE=99999999\r\n", "503", 600, 1000}};
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer pipeline = BUFFER_INIT;
        l->settings.recipients_max = (uint32_t)cases[i].recipients_max;
        buffer_printf(&pipeline, "%s", cases[i].mail);
        for (int n = 0; n < cases[i].recipients; n++)
            buffer_printf(&pipeline, "RCPT TO:<r%d@a.test>\r\n", n);
        buffer_append_span(&pipeline, SPAN("DATA\r\n"));
        dial(w);
        say(w, "EHLO x\r\n", "220 250");
        assert_true(transmit(w, pipeline.data, pipeline.size));
        turns(w);
        expect_replies(w, (size_t)cases[i].recipients + 2, cases[i].last_reply);
        hang_up(w);
        buffer_done(&pipeline);
    }
}

/* It closed its side behind its last command. */
static void all_of_a_pipeline_is_answered_before_its_end(void **state)
{
    struct buffer pipeline = BUFFER_INIT;
    struct world *w = *state;

    buffer_printf(&pipeline, "MAIL FROM:<a@b.test>\r\n");
    for (int n = 0; n < 400; n++)
        buffer_printf(&pipeline, "RCPT TO:<r%d@a.test>\r\n", n);
    buffer_append_span(&pipeline, SPAN("RSET\r\n"));
    dial(w);
    say(w, "EHLO x\r\n", "220 250");
    assert_true(transmit(w, pipeline.data, pipeline.size));
    shutdown(w->client, SHUT_WR);
    turns(w);
    expect_replies(w, 402, "250");
    assert_true(w->closed);
    buffer_done(&pipeline);
}

/* The queue has no room for a piece. The linker puts this in its place (meson.build). */
static bool no_room;
int __real_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);
int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);

int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message)
{
    if (no_room && message->type == IPC_UPLOAD_CHUNK)
        return -EAGAIN;
    return __real_ipc_call(channel, call, message);
}

/* None of it went, so the next message is not taken for the rest of one that the queue before has.
 */
static void an_upload_that_never_began_is_forgotten(void **state)
{
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);

    l->settings.answer_timeout_ms = 1000;
    no_room = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    large_body(w, 2000);
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    for (int i = 0; i < 10; i++) /* what lies in the socket is read to its end */
        turns(w);
    no_room = false;
    const struct smtpd_session *s =
        CONTAINER_OF(w->smtpd.sessions.next, struct smtpd_session, link);
    assert_false(s->upload.stuck || list_is_linked(&s->upload.waiter.link));
    say(w, "\r\n.\r\n", "451");
    assert_int_equal(w->uploaded, 0);
    assert_int_equal(w->aborts, 0); /* there is nothing that the queue could abort */
    ipc_channel_free(w->queue);
    turns(w);
    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
    say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 3000));
    say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 234000);
    assert_int_equal(w->number, 1);
}

/* What waited for the queue before goes whole to the one that came instead. */
static void a_first_piece_that_waits_goes_to_the_next_queue(void **state)
{
    struct world *w = *state;

    no_room = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    large_body(w, 2000);
    no_room = false;
    struct ipc_channel *before = w->queue;
    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
    ipc_channel_free(before);
    turns(w);
    say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 156000);
}

static void the_queue_dies_under_a_commit(void **state)
{
    struct world *w = *state;

    w->hold_commit = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    say(w, "hello\r\n.\r\n", "");
    assert_int_equal(w->commits, 1);
    ipc_channel_free(w->queue);
    say(w, "", "451");
    say(w, "MAIL FROM:<a@b.test>\r\n", "452");
    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
    w->hold_commit = false;
    say(w, OPENING "DATA\r\nhello\r\n.\r\n", "250 250 354 250");
}

struct joining {
    struct io_deferred deferred;
    struct world *world;
};

static void on_joining(struct io_deferred *deferred)
{
    struct world *w = CONTAINER_OF(deferred, struct joining, deferred)->world;
    struct ipc_channel *before = w->queue;

    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
    ipc_channel_free(before);
}

/* Another queue is there before we have read what the first had said: its mail is sealed, and its
 * client would send it again. */
static void a_commit_of_the_queue_before_is_told(void **state)
{
    struct world *w = *state;
    struct joining joining = {.deferred.fn = on_joining, .world = w};

    w->hold_commit = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    say(w, "hello\r\n.\r\n", "");
    answer_commit(w);
    io_defer(w->loop, &joining.deferred); /* when the reply is sent */
    w->hold_commit = false;
    say(w, "", "250");
    say(w, OPENING "DATA\r\nhello\r\n.\r\n", "250 250 354 250");
    assert_int_equal(w->commits, 2);
}

static void a_late_commit_after_the_client_closed_its_side(void **state)
{
    struct world *w = *state;

    w->hold_commit = true;
    dial(w);
    say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    say(w, "hello\r\n.\r\nQUIT\r\n", "");
    shutdown(w->client, SHUT_WR);
    turns(w);
    assert_int_equal(w->smtpd.session_count, 1);
    answer_commit(w);
    say(w, "", "250 221");
    assert_true(w->closed);
}

static void pressure_defers_before_data(void **state)
{
    struct world *w = *state;
    struct ipc_message pressure = {.type = IPC_PRESSURE,
                                   .pressure = {.defer = true, .text = SPAN("the disk is full")}};

    assert_int_equal(ipc_notify(w->queue, &pressure), 0);
    dial(w);
    say(w, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n", "220 250 452");
    pressure.pressure.defer = false;
    assert_int_equal(ipc_notify(w->queue, &pressure), 0);
    turns(w);
    say(w, "MAIL FROM:<a@b.test>\r\n", "250");
}

static void nobody_is_accepted_without_a_directory(void **state)
{
    struct world *w = *state;

    ipc_channel_free(w->directory);
    turns(w);
    dial(w);
    assert_int_equal(w->smtpd.session_count, 0);
    w->directory = play(w, IPC_PEER_DIRECTORY, &directory_role);
    say(w, "", "220");
}

/* Nobody spins meanwhile. */
static void who_comes_when_descriptors_are_short_waits(void **state)
{
    struct world *w = *state;
    struct rlimit before;
    int next = dup(STDOUT_FILENO); /* the client's own socket, and no other */

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = {(rlim_t)next + 1, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    dial(w);
    assert_true(w->smtpd.accept_paused);
    assert_int_equal(w->smtpd.session_count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 1000 && w->said.size == 0; i++) {
        usleep(10000); /* the tick is a second */
        turns(w);
    }
    say(w, "", "220");
}

/* Whoever takes all connections from the network keeps no program of this machine from sending, nor
 * the other way round. */
static void local_users_have_connections_of_their_own(void **state)
{
    struct world *w = *state;
    int stranger, user;

    configure(w, 1, SIZE_LIMIT);
    w->many = true;
    dial(w);
    stranger = w->client;
    say(w, "", "220");
    assert_true(smtpd_is_full(&w->smtpd));
    dial(w);
    say(w, "", ""); /* it waits */
    close(w->client);
    dial_locally(w);
    user = w->client;
    say(w, "", "220");
    dial_locally(w);
    say(w, "", "");
    close(stranger);
    turns(w);
    say(w, "", "");
    assert_false(smtpd_is_full(&w->smtpd));
    close(user);
    say(w, "", "220");
}

/* However many the network may have: they cost more. */
static void local_users_have_fewer_connections(void **state)
{
    struct world *w = *state;
    int users[SMTPD_LOCAL_MAX];

    configure(w, 0, SIZE_LIMIT);
    w->many = true;
    for (int i = 0; i < SMTPD_LOCAL_MAX; i++) {
        dial_locally(w);
        users[i] = w->client;
        say(w, "", "220");
    }
    dial_locally(w);
    say(w, "", "");
    int waiting = w->client;
    dial(w);
    say(w, "", "220");
    close(w->client);
    close(users[0]);
    w->client = waiting;
    say(w, "", "220");
    for (int i = 1; i < SMTPD_LOCAL_MAX; i++)
        close(users[i]);
}

static void a_session_keeps_its_generation(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "EHLO x\r\n", "220 250");
    configure(w, 10, SIZE_LIMIT);
    say(w, OPENING "DATA\r\nhello\r\n.\r\n", "250 250 354 250");
    assert_int_equal(w->smtpd.in_force->references, 1);
    hang_up(w);
    dial(w); /* the new socket */
    say(w, "", "220");
}

static void the_last_reply_arrives_though_the_client_talks_on(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "", "220");
    assert_true(transmit(w, "BDAT nonsense\r\n", 15));
    say(w, "NOOP\r\nNOOP\r\n", "501");
    assert_true(w->closed);
    assert_true(transmit(w, "NOOP\r\n", 6));
    turns(w);
    assert_int_equal(w->smtpd.session_count, 1);
    hang_up(w);
    assert_int_equal(w->smtpd.session_count, 0);
}

/* Of the time in which the last sessions end, too, each refusal is in the book, alone or counted.
 */
static void shutdown_loses_no_refusal(void **state)
{
    struct world *w = *state;
    struct event refusal = {.kind = EVENT_REFUSED, .count = 1};

    dial(w);
    say(w, "EHLO x\r\n" OPENING, "220 250 250 250");
    smtpd_end(&w->smtpd);
    for (int i = 0; i < SMTPD_REFUSALS_ALONE + 5; i++)
        smtpd_refusals_add(&w->smtpd.refusals, &refusal, w->smtpd.time.monotonic_ms);
    turns(w);
    assert_int_equal(w->events, SMTPD_REFUSALS_ALONE);
    say(w, "DATA\r\nhello\r\n.\r\n", "354 250 421");
    hang_up(w);
    assert_int_equal(w->events, SMTPD_REFUSALS_ALONE + 1);
}

/* Refusals of so many clients, when smtpd's socket to the queue takes only some of them at once. */
static void refuse_many(struct world *w, unsigned count)
{
    struct event refusal = {.kind = EVENT_REFUSED, .count = 1};

    assert_int_equal(setsockopt(w->peer_fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
    for (unsigned i = 0; i < count; i++) {
        memcpy(refusal.ip, &i, sizeof(i));
        smtpd_refusals_add(&w->smtpd.refusals, &refusal, w->smtpd.time.monotonic_ms);
    }
}

static void end_process(struct world *w)
{
    w->smtpd.process.exit_code = -1; /* not yet */
    smtpd_end(&w->smtpd);
    for (int i = 0; i == 0 || (i < 10000 && w->smtpd.process.exit_code); i++) {
        assert_int_equal(io_loop_turn(w->loop), 0);
        usleep(1000);
    }
    assert_int_equal(w->smtpd.process.exit_code, 0);
}

/* What isn't in the queue's socket when the process ends is lost. */
static void who_leaves_has_told_all(void **state)
{
    struct world *w = *state;

    refuse_many(w, 500);
    end_process(w);
    ipc_channel_free(w->smtpd.queue);
    w->smtpd.queue = NULL;
    smtpd_outbox_connect(&w->smtpd.to_queue, NULL);
    turns(w);
    assert_int_equal(w->events, 500);
}

/* A queue that hangs: the process ends all the same. */
static void who_leaves_does_not_wait_for_ever(void **state)
{
    struct world *w = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(smtpd_connect(&w->smtpd, IPC_PEER_QUEUE, fds[0]), 0);
    w->peer_fd = fds[0];
    refuse_many(w, 500);
    end_process(w);
    close(fds[1]);
}

static void shutdown_finishes_the_message(void **state)
{
    struct world *w = *state;

    dial(w);
    say(w, "EHLO x\r\n" OPENING, "220 250 250 250");
    smtpd_end(&w->smtpd);
    say(w, "DATA\r\nhello\r\n.\r\n", "354 250 421");
    assert_true(w->closed);
    assert_int_equal(w->commits, 1);
}

/* Another server may bind the address while the session goes on. */
static void shutdown_gives_the_address_back(void **state)
{
    struct world *w = *state;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)w->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    dial(w);
    say(w, "EHLO x\r\n" OPENING, "220 250 250 250");
    smtpd_end(&w->smtpd);
    assert_int_equal(bind(other, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(other, 1), 0);
    say(w, "DATA\r\nhello\r\n.\r\n", "354 250 421");
    close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message),
        TEST(refusals_are_told),
        TEST(strangers_only_are_cut_off_for_unknown_recipients),
        TEST(recipients_to_be_relayed_are_taken),
        TEST(tickets_go_with_their_recipients),
        TEST(a_new_directory_is_told_who_is_there),
        TEST(a_client_that_leaves_at_each_phase),
        TEST(a_large_body_is_streamed),
        TEST(a_slow_queue_slows_the_client),
        TEST(the_queue_s_reason_is_told),
        TEST(a_new_queue_gets_no_rest_of_a_body),
        TEST(a_queue_that_stalls_too_long),
        TEST(a_directory_that_hangs),
        TEST(all_of_a_pipeline_is_answered),
        TEST(all_of_a_pipeline_is_answered_before_its_end),
        TEST(an_upload_that_never_began_is_forgotten),
        TEST(a_first_piece_that_waits_goes_to_the_next_queue),
        TEST(the_queue_dies_under_a_commit),
        TEST(a_commit_of_the_queue_before_is_told),
        TEST(a_late_commit_after_the_client_closed_its_side),
        TEST(pressure_defers_before_data),
        TEST(nobody_is_accepted_without_a_directory),
        TEST(who_comes_when_descriptors_are_short_waits),
        TEST(local_users_have_connections_of_their_own),
        TEST(local_users_have_fewer_connections),
        TEST(a_session_keeps_its_generation),
        TEST(the_last_reply_arrives_though_the_client_talks_on),
        TEST(shutdown_loses_no_refusal),
        TEST(who_leaves_has_told_all),
        TEST(who_leaves_does_not_wait_for_ever),
        TEST(shutdown_finishes_the_message),
        TEST(shutdown_gives_the_address_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
