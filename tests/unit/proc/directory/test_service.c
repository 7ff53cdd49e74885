#include "directory_test.h"

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
    struct ipc_channel *smtpd, *queue;
    struct ipc_call call;
    struct ipc_message reply; /* its type; spans are copied below */
    char text[200];
    bool answered;
    int lost;
};

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct world *w = owner;
    w->lost++;
}

static const struct ipc_role asker = {.peer_name = "directory", .lost = on_lost};

static struct ipc_channel *connect_as(struct world *w, enum ipc_peer kind, unsigned index)
{
    struct ipc_channel *channel;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(service_connect(&w->service, kind, index, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], &asker, w, &channel), 0);
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
    service_init(&w.service, w.loop, 1);
    service_use(&w.service, &w.generation);
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

static void ask(struct world *w, struct ipc_channel *channel, const struct ipc_message *message)
{
    w->answered = false;
    w->call.fn = on_reply;
    assert_int_equal(ipc_call(channel, &w->call, message), 0);
    turns(w);
    assert_true(w->answered);
}

static enum ipc_client_action come(struct world *w, struct ipc_channel *smtpd, const char *ip,
                                   const char *service)
{
    struct ipc_message check = {.type = IPC_CLIENT_CHECK,
                                .client_check.service = span_from_cstr(service)};

    assert_int_equal(conf_ip_parse(span_from_cstr(ip), check.client_check.ip), 0);
    ask(w, smtpd, &check);
    assert_int_equal(w->reply.type, IPC_CLIENT_VERDICT);
    return w->reply.client_verdict.action;
}

static void a_client_comes_and_goes(void **state)
{
    struct world *w = *state;
    struct ipc_message gone = {.type = IPC_CLIENT_GONE};

    assert_int_equal(come(w, w->smtpd, "192.0.2.1", "mx"), IPC_CLIENT_ACCEPT);
    assert_false(w->reply.client_verdict.trusted);
    assert_int_equal(come(w, w->smtpd, "192.0.2.1", "mx"), IPC_CLIENT_DEFER);
    assert_int_equal(conf_ip_parse(SPAN("192.0.2.1"), gone.client_gone.ip), 0);
    assert_int_equal(ipc_notify(w->smtpd, &gone), 0);
    turns(w);
    assert_int_equal(come(w, w->smtpd, "192.0.2.1", "mx"), IPC_CLIENT_ACCEPT);
}

static void trusted_clients_and_programs(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(come(w, w->smtpd, "10.1.2.3", "mx"), IPC_CLIENT_ACCEPT);
        assert_true(w->reply.client_verdict.trusted);
        assert_int_equal(come(w, w->smtpd, "::", "local"), IPC_CLIENT_ACCEPT);
        assert_true(w->reply.client_verdict.trusted);
    }
}

static void a_lost_smtpd_gives_its_clients_back(void **state)
{
    struct world *w = *state;
    struct ipc_channel *other = connect_as(w, IPC_PEER_SMTPD, 4);

    assert_int_equal(come(w, w->smtpd, "192.0.2.1", "mx"), IPC_CLIENT_ACCEPT);
    assert_int_equal(come(w, other, "192.0.2.1", "mx"), IPC_CLIENT_DEFER);
    ipc_channel_free(w->smtpd);
    w->smtpd = other;
    turns(w);
    assert_int_equal(come(w, other, "192.0.2.1", "mx"), IPC_CLIENT_ACCEPT);
}

static void a_new_smtpd_replaces_the_old_one(void **state)
{
    struct world *w = *state;

    assert_int_equal(come(w, w->smtpd, "192.0.2.1", "mx"), IPC_CLIENT_ACCEPT);
    struct ipc_channel *fresh = connect_as(w, IPC_PEER_SMTPD, 3);
    turns(w);
    assert_int_equal(w->lost, 1);
    ipc_channel_free(w->smtpd);
    w->smtpd = fresh;
    assert_int_equal(come(w, fresh, "192.0.2.1", "mx"), IPC_CLIENT_ACCEPT);
}

static void recipients(void **state)
{
    static const struct {
        const char *ip, *local, *domain;
        bool claims_trust;
        enum ipc_rcpt_action action;
        const char *address;
    } cases[] = {
        {"192.0.2.1", "anna", "a.test", false, IPC_RCPT_ACCEPT, "anna@a.test"},
        {"192.0.2.1", "both", "a.test", false, IPC_RCPT_ACCEPT, "both@a.test"},
        {"192.0.2.1", "x", "a.test", false, IPC_RCPT_UNKNOWN, ""},
        {"192.0.2.1", "x", "y.test", false, IPC_RCPT_DENIED, ""},
        /* Whom we trust isn't for smtpd to say: it may be taken over. */
        {"192.0.2.1", "x", "y.test", true, IPC_RCPT_DENIED, ""},
        {"10.9.9.9", "x", "y.test", false, IPC_RCPT_RELAY, ""},
        {"192.0.2.1", "x", "relayed.test", false, IPC_RCPT_RELAY, ""},
        {"192.0.2.1", "x", "sub.relayed.test", false, IPC_RCPT_DENIED, ""},
        {"192.0.2.1", "x%y.test", "relayed.test", false, IPC_RCPT_REJECT, ""},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ipc_message check = {.type = IPC_RCPT_CHECK,
                                    .rcpt_check = {.uid = UINT32_MAX,
                                                   .trusted = cases[i].claims_trust,
                                                   .local = span_from_cstr(cases[i].local),
                                                   .domain = span_from_cstr(cases[i].domain)}};
        assert_int_equal(conf_ip_parse(span_from_cstr(cases[i].ip), check.rcpt_check.ip), 0);
        ask(w, w->smtpd, &check);
        assert_int_equal(w->reply.rcpt_verdict.action, cases[i].action);
        assert_string_equal(w->text, cases[i].address);
    }
}

static void programs_on_this_machine_may_send_anywhere(void **state)
{
    struct world *w = *state;
    struct ipc_message check = {
        .type = IPC_RCPT_CHECK,
        .rcpt_check = {.uid = 1000, .local = SPAN("x"), .domain = SPAN("y.test")}};

    ask(w, w->smtpd, &check);
    assert_int_equal(w->reply.rcpt_verdict.action, IPC_RCPT_RELAY);
    assert_int_equal(w->service.refused_recipient_count, 0);
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
        WORLD_TEST(trusted_clients_and_programs),
        WORLD_TEST(a_lost_smtpd_gives_its_clients_back),
        WORLD_TEST(a_new_smtpd_replaces_the_old_one),
        WORLD_TEST(recipients),
        WORLD_TEST(programs_on_this_machine_may_send_anywhere),
        WORLD_TEST(the_queue_expands),
        WORLD_TEST(what_is_not_theirs_ends_the_channel),
        WORLD_TEST(strangers_are_not_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
