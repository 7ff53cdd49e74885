#include "directory_test.h"

#include "connection.h"
#include "proc/directory/service.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

/* The service with an smtpd and a queue that ask it, all in one loop. */
struct world {
    struct io_loop *loop;
    struct generation generation;
    struct buffer part;
    struct service service;
    struct connections connections;
    struct ipc_channel *smtpd, *queue;
    uint64_t number; /* of the last client */
    struct ticket_gate gate;
    struct ipc_call call;
    struct ipc_message reply; /* its type; spans are copied below */
    char text[200];
    bool answered;
    int lost;
};

/* Memory is short when a key is sent. The linker puts this in its place (meson.build). */
static bool no_key;
int __real_ipc_notify(struct ipc_channel *channel, const struct ipc_message *message);
int __wrap_ipc_notify(struct ipc_channel *channel, const struct ipc_message *message);

int __wrap_ipc_notify(struct ipc_channel *channel, const struct ipc_message *message)
{
    if (no_key && message->type == IPC_TICKET_KEY)
        return -ENOMEM;
    return __real_ipc_notify(channel, message);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct world *w = owner;
    w->lost++;
}

static const struct ipc_role asker = {.peer_name = "directory", .lost = on_lost};

static void on_ticket_key(void *owner, const struct ipc_arrival *arrival)
{
    struct world *w = owner;

    assert_int_equal(ticket_gate_open(&w->gate, arrival->message->ticket_key.key), 0);
}

static const struct ipc_handler queue_handlers[] = {{IPC_TICKET_KEY, on_ticket_key}};
static const struct ipc_role queue_asker = {"directory", queue_handlers, 1, on_lost, false};

static struct ipc_channel *connect_as(struct world *w, enum ipc_peer kind, unsigned index)
{
    const struct ipc_role *role = kind == IPC_PEER_QUEUE ? &queue_asker : &asker;
    struct ipc_channel *channel;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(service_connect(&w->service, kind, index, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], role, w, &channel), 0);
    return channel;
}

static int setup(void **state)
{
    static struct world w;

    w = (struct world){0};
    assert_int_equal(io_loop_new(&w.loop), 0);
    generation_from(&w.generation, &w.part, "anna@a.test:*:\nbob@a.test:*:\n", "both: anna, bob\n",
                    (struct conf_client_limits){.client_connections = 1});
    assert_int_equal(generation_finish(&w.generation), 0);
    assert_int_equal(ticket_prepare(), 0);
    service_init(&w.service, w.loop, 1);
    service_use(&w.service, &w.generation);
    connections_open(&w.connections);
    w.smtpd = connect_as(&w, IPC_PEER_SMTPD, 3);
    w.queue = connect_as(&w, IPC_PEER_QUEUE, 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ipc_channel_free(w->smtpd);
    ipc_channel_free(w->queue);
    service_done(&w->service);
    ticket_gate_done(&w->gate);
    connections_close(&w->connections);
    generation_done(&w->generation);
    buffer_done(&w->part);
    io_loop_free(w->loop);
    return 0;
}

static void keep_text(struct world *w, struct span text)
{
    snprintf(w->text, sizeof(w->text), SPAN_FMT, SPAN_ARG(text));
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct world *w = CONTAINER_OF(call, struct world, call);

    assert_non_null(reply);
    w->answered = true;
    w->reply = *reply;
    if (reply->type == IPC_RCPT_VERDICT)
        keep_text(w, reply->rcpt_verdict.address);
    if (reply->type == IPC_EXPANDED && reply->expanded.address_count)
        keep_text(w, reply->expanded.addresses[reply->expanded.address_count - 1].address);
}

static void turns(struct world *w)
{
    for (int i = 0; i < 20; i++)
        assert_int_equal(io_loop_turn(w->loop), 0);
}

static void ask_fd(struct world *w, struct ipc_channel *channel, const struct ipc_message *message,
                   int fd)
{
    w->answered = false;
    w->call.fn = on_reply;
    assert_int_equal(ipc_call_lending(channel, &w->call, message, fd), 0);
    turns(w);
    assert_true(w->answered);
}

static void ask(struct world *w, struct ipc_channel *channel, const struct ipc_message *message)
{
    ask_fd(w, channel, message, -1);
}

/* A connection from this address of the loopback network, or "" from a program on this machine. */
static enum ipc_client_action come(struct world *w, struct ipc_channel *smtpd, const char *ip)
{
    struct ipc_message check = {.type = IPC_CLIENT_CHECK, .client_check.client = ++w->number};
    int fd = *ip ? connection_from(&w->connections, ip) : connection_local(&w->connections);

    ask_fd(w, smtpd, &check, fd);
    close(fd);
    assert_int_equal(w->reply.type, IPC_CLIENT_VERDICT);
    return w->reply.client_verdict.action;
}

static void a_client_comes_and_goes(void **state)
{
    struct world *w = *state;
    struct ipc_message gone = {.type = IPC_CLIENT_GONE};

    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_ACCEPT);
    gone.client_gone.client = w->number;
    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_DEFER);
    assert_int_equal(come(w, w->smtpd, "127.0.0.2"), IPC_CLIENT_ACCEPT);
    assert_int_equal(ipc_notify(w->smtpd, &gone), 0);
    assert_int_equal(ipc_notify(w->smtpd, &gone), 0); /* of nobody any more: changes nothing */
    turns(w);
    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_ACCEPT);
    assert_int_equal(come(w, w->smtpd, "127.0.0.2"), IPC_CLIENT_DEFER);
}

static void trusted_clients_and_programs_are_not_limited(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(come(w, w->smtpd, "127.9.2.3"), IPC_CLIENT_ACCEPT);
        assert_true(w->reply.client_verdict.trusted);
        assert_int_equal(come(w, w->smtpd, ""), IPC_CLIENT_ACCEPT);
        assert_true(w->reply.client_verdict.trusted);
    }
    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_ACCEPT);
    assert_false(w->reply.client_verdict.trusted);
}

/* A taken-over smtpd has sockets that are no client's, some with root at their other end. */
static void only_a_connection_is_a_client(void **state)
{
    struct world *w = *state;
    struct ipc_message check = {.type = IPC_CLIENT_CHECK, .client_check.client = 1};
    int fds[5], count = 0, pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    fds[count++] = pair[0];
    fds[count++] = dup(w->connections.tcp);
    fds[count++] = dup(w->connections.local);
    fds[count++] = text_fd("a file");
    fds[count++] = connection_reset(&w->connections, "127.9.0.1");
    for (int i = 0; i < count; i++) {
        ask_fd(w, w->smtpd, &check, fds[i]);
        if (w->reply.client_verdict.action != IPC_CLIENT_DEFER)
            fail_msg("descriptor %d was taken for a client", i);
        close(fds[i]);
    }
    close(pair[1]);
}

static void a_number_is_one_client(void **state)
{
    struct world *w = *state;

    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_ACCEPT);
    w->number--; /* smtpd would have the stranger be a trusted client */
    assert_int_equal(come(w, w->smtpd, "127.9.0.1"), IPC_CLIENT_DEFER);
}

static void a_lost_smtpd_gives_its_clients_back(void **state)
{
    struct world *w = *state;
    struct ipc_channel *other = connect_as(w, IPC_PEER_SMTPD, 4);

    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_ACCEPT);
    assert_int_equal(come(w, other, "127.0.0.1"), IPC_CLIENT_DEFER);
    ipc_channel_free(w->smtpd);
    w->smtpd = other;
    turns(w);
    assert_int_equal(come(w, other, "127.0.0.1"), IPC_CLIENT_ACCEPT);
}

static void a_new_smtpd_replaces_the_old_one(void **state)
{
    struct world *w = *state;

    assert_int_equal(come(w, w->smtpd, "127.0.0.1"), IPC_CLIENT_ACCEPT);
    struct ipc_channel *fresh = connect_as(w, IPC_PEER_SMTPD, 3);
    turns(w);
    assert_int_equal(w->lost, 1);
    ipc_channel_free(w->smtpd);
    w->smtpd = fresh;
    assert_int_equal(come(w, fresh, "127.0.0.1"), IPC_CLIENT_ACCEPT);
}

static const struct ipc_rcpt_verdict *ask_recipient(struct world *w, uint64_t client,
                                                    const char *address)
{
    struct ipc_message check = {.type = IPC_RCPT_CHECK,
                                .rcpt_check = {.client = client,
                                               .sender = SPAN("s@far.test"),
                                               .address = span_from_cstr(address)}};
    ask(w, w->smtpd, &check);
    return &w->reply.rcpt_verdict;
}

static void recipients(void **state)
{
    static const struct {
        const char *ip, *asked;
        enum ipc_rcpt_action action;
        const char *address;
    } cases[] = {
        {"127.0.0.1", "anna@a.test", IPC_RCPT_ACCEPT, "anna@a.test"},
        {"127.0.0.1", "both@a.test", IPC_RCPT_ACCEPT, "both@a.test"},
        {"127.0.0.1", "x@a.test", IPC_RCPT_UNKNOWN, ""},
        {"127.0.0.1", "x@y.test", IPC_RCPT_DENIED, ""},
        {"127.9.9.9", "x@y.test", IPC_RCPT_RELAY, "x@y.test"},
        {"", "x@y.test", IPC_RCPT_RELAY, "x@y.test"},
        {"127.0.0.1", "x@relayed.test", IPC_RCPT_RELAY, "x@relayed.test"},
        {"127.0.0.1", "x@sub.relayed.test", IPC_RCPT_DENIED, ""},
        {"127.0.0.1", "x%y.test@relayed.test", IPC_RCPT_REJECT, ""},
        {"127.0.0.1", "\"x@y.test\"@relayed.test", IPC_RCPT_REJECT, ""},
        {"127.0.0.1", "no address", IPC_RCPT_UNKNOWN, ""},
    };
    struct world *w = *state;

    w->service.limits.max.client_connections = 0;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(come(w, w->smtpd, cases[i].ip), IPC_CLIENT_ACCEPT);
        assert_int_equal(ask_recipient(w, w->number, cases[i].asked)->action, cases[i].action);
        assert_string_equal(w->text, cases[i].address);
    }
}

static void who_is_not_there_gets_no_verdict(void **state)
{
    struct world *w = *state;
    struct ipc_channel *other = connect_as(w, IPC_PEER_SMTPD, 4);
    uint64_t mine = 1;

    assert_int_equal(ask_recipient(w, mine, "anna@a.test")->action, IPC_RCPT_DEFER);
    assert_int_equal(come(w, other, "127.9.0.1"), IPC_CLIENT_ACCEPT); /* another smtpd's */
    assert_int_equal(w->number, mine);
    assert_int_equal(ask_recipient(w, mine, "anna@a.test")->action, IPC_RCPT_DEFER);
    ipc_channel_free(other);
}

static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [13] = 9, [15] = 1};

/* Else all mail would be deferred until one of the two starts again. */
static void a_queue_that_could_not_have_its_key_gets_it_later(void **state)
{
    struct world *w = *state;
    struct ticket_facts facts = {
        .ip = ip, .uid = UINT32_MAX, .sender = SPAN("s@far.test"), .address = SPAN("x@y.test")};
    struct span ticket = span_of(w->reply.rcpt_verdict.ticket, TICKET_BYTES);

    assert_int_equal(come(w, w->smtpd, "127.9.0.1"), IPC_CLIENT_ACCEPT);
    turns(w);
    ticket_gate_done(&w->gate); /* of the queue before */
    no_key = true;
    ipc_channel_free(w->queue);
    w->queue = connect_as(w, IPC_PEER_QUEUE, 0);
    turns(w);
    assert_null(w->gate.mac);
    assert_int_equal(ask_recipient(w, w->number, "x@y.test")->action, IPC_RCPT_RELAY);
    no_key = false;
    assert_int_equal(ask_recipient(w, w->number, "x@y.test")->action, IPC_RCPT_RELAY);
    assert_non_null(w->gate.mac);
    assert_int_equal(ticket_take(&w->gate, &facts, ticket), 0);
    assert_int_equal(w->service.tickets.last, 1);
    ask_recipient(w, w->number, "x@y.test"); /* by the same key */
    assert_int_equal(ticket_take(&w->gate, &facts, ticket), 0);
    assert_int_equal(w->service.tickets.last, 2);
}

static void a_ticket_says_what_was_allowed(void **state)
{
    struct world *w = *state;

    assert_int_equal(come(w, w->smtpd, "127.9.0.1"), IPC_CLIENT_ACCEPT);
    assert_int_equal(ask_recipient(w, w->number, "x@y.test")->action, IPC_RCPT_RELAY);
    struct span ticket = span_of(w->reply.rcpt_verdict.ticket, TICKET_BYTES);
    struct ticket_facts facts = {
        .ip = ip, .uid = UINT32_MAX, .sender = SPAN("s@far.test"), .address = SPAN("z@y.test")};
    assert_int_equal(ticket_take(&w->gate, &facts, ticket), -EBADMSG);
    facts.address = SPAN("x@y.test");
    assert_int_equal(ticket_take(&w->gate, &facts, ticket), 0);
    /* What isn't allowed gets none. */
    assert_int_equal(ask_recipient(w, w->number, "x@a.test")->action, IPC_RCPT_UNKNOWN);
    static const uint8_t none[TICKET_BYTES];
    assert_memory_equal(w->reply.rcpt_verdict.ticket, none, TICKET_BYTES);
}

static void the_queue_expands(void **state)
{
    struct world *w = *state;
    struct ipc_message expand = {.type = IPC_EXPAND, .expand.address = SPAN("both@a.test")};

    ask(w, w->queue, &expand);
    assert_int_equal(w->reply.expanded.error, 0);
    assert_int_equal(w->reply.expanded.address_count, 2);
    assert_string_equal(w->text, "bob@a.test");
}

static void what_is_not_theirs_ends_the_channel(void **state)
{
    struct world *w = *state;
    struct ipc_message gone = {.type = IPC_CLIENT_GONE};

    assert_int_equal(ipc_notify(w->queue, &gone), 0);
    turns(w);
    assert_null(w->service.queue);
    assert_int_equal(w->lost, 1);
}

static void strangers_are_not_connected(void **state)
{
    struct world *w = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(service_connect(&w->service, IPC_PEER_MAILBOX, 0, fds[0]), -EINVAL);
    assert_int_equal(service_connect(&w->service, IPC_PEER_SMTPD, SERVICE_SMTPD_MAX, fds[1]),
                     -EINVAL);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_client_comes_and_goes),
        WORLD_TEST(trusted_clients_and_programs_are_not_limited),
        WORLD_TEST(only_a_connection_is_a_client),
        WORLD_TEST(a_number_is_one_client),
        WORLD_TEST(a_lost_smtpd_gives_its_clients_back),
        WORLD_TEST(a_new_smtpd_replaces_the_old_one),
        WORLD_TEST(recipients),
        WORLD_TEST(who_is_not_there_gets_no_verdict),
        WORLD_TEST(a_ticket_says_what_was_allowed),
        WORLD_TEST(a_queue_that_could_not_have_its_key_gets_it_later),
        WORLD_TEST(the_queue_expands),
        WORLD_TEST(what_is_not_theirs_ends_the_channel),
        WORLD_TEST(strangers_are_not_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
