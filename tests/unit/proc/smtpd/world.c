#include "world.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

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

void world_answer_commit(struct world *w)
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
        world_answer_commit(w);
}

void world_take_chunks(struct world *w)
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
        world_take_chunks(w);
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

void world_join_directory(struct world *w)
{
    w->directory = play(w, IPC_PEER_DIRECTORY, &directory_role);
}

void world_join_queue(struct world *w)
{
    w->queue = play(w, IPC_PEER_QUEUE, &queue_role);
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

void world_configure(struct world *w, uint32_t connections_max, uint64_t message_size_max)
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

int world_set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(io_loop_new(&w->loop), 0);
    w->smtpd.process.loop = w->loop;
    assert_int_equal(smtpd_init(&w->smtpd), 0);
    world_configure(w, 10, SIZE_LIMIT);
    world_join_directory(w);
    world_join_queue(w);
    w->client = -1;
    *state = w;
    return 0;
}

void world_turns(struct world *w)
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

void world_hang_up(struct world *w)
{
    if (w->client >= 0)
        close(w->client);
    w->client = -1;
    world_turns(w);
}

int world_tear_down(void **state)
{
    struct world *w = *state;

    world_hang_up(w);
    assert_int_equal(w->smtpd.session_count, 0);
    ipc_channel_free(w->directory);
    ipc_channel_free(w->queue);
    world_turns(w);
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

void world_dial(struct world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)w->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    w->closed = false;
    w->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(w->client, F_SETFL, O_NONBLOCK), 0);
    /* What is sent is there at once: world_turns() doesn't wait for time to pass. */
    setsockopt(w->client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    world_turns(w);
}

void world_dial_locally(struct world *w)
{
    w->closed = false;
    w->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&w->local, w->local_size), 0);
    assert_int_equal(fcntl(w->client, F_SETFL, O_NONBLOCK), 0);
    world_turns(w);
}

bool world_transmit(struct world *w, const char *text, size_t size)
{
    for (int stalled = 0; size && stalled < 5;) {
        ssize_t n = send(w->client, text, size, MSG_DONTWAIT);
        stalled = n > 0 ? 0 : stalled + 1;
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
        if (size)
            world_turns(w);
    }
    return size == 0;
}

void world_say(struct world *w, const char *text, const char *codes)
{
    assert_true(world_transmit(w, text, strlen(text)));
    world_turns(w);
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
