/* The service with libunbound, a name server that never answers, and an asker, all in one loop. */
#include "../../unit.h"

#include "dns/type.h"
#include "proc/resolver/service.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static bool timers_fail;
int __real_io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out);

int __wrap_io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out);

int __wrap_io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out)
{
    return timers_fail ? -ENOMEM : __real_io_timer_new(loop, fn, arg, out);
}

struct world {
    struct io_loop *loop;
    struct service service;
    struct ipc_channel *asker;
    struct ipc_call call;
    int silent_fd;
    bool answered, lost;
    int error;
    char why[200];
};

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct world *w = owner;
    w->lost = true;
}

static const struct ipc_role asker_role = {.peer_name = "resolver", .lost = on_lost};

static struct conf_address open_silent_server(struct world *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    struct conf_address server = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, 0, 0, 1}};

    w->silent_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->silent_fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(w->silent_fd, (struct sockaddr *)&at, &size), 0);
    server.port = ntohs(at.sin_port);
    return server;
}

static void connect_asker(struct world *w)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(service_connect(&w->service, IPC_PEER_SMTP, 1, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], &asker_role, w, &w->asker), 0);
}

static int setup(void **state)
{
    static struct world w;
    struct conf_address server;
    struct conf_resolver conf = {.servers = &server, .server_count = 1};
    const char *why = NULL;

    w = (struct world){0};
    server = open_silent_server(&w);
    assert_int_equal(io_loop_new(&w.loop), 0);
    struct ub_ctx *library = library_open(&conf, SPAN(""), &why);
    assert_non_null(library);
    assert_null(library_start(library));
    assert_int_equal(service_init(&w.service, w.loop, library, NULL), 0);
    connect_asker(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ipc_channel_free(w->asker);
    service_done(&w->service);
    io_loop_free(w->loop);
    close(w->silent_fd);
    return 0;
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct world *w = CONTAINER_OF(call, struct world, call);

    w->answered = true;
    w->error = reply ? reply->resolved.error : -EPIPE;
    struct span why = reply ? span_first(reply->resolved.why, sizeof(w->why) - 1) : SPAN("");
    memcpy(w->why, why.data, why.size);
    w->why[why.size] = '\0';
}

static void ask(struct world *w, struct span name)
{
    const struct ipc_message m = {.type = IPC_RESOLVE,
                                  .resolve = {.name = name, .type = DNS_TYPE_MX}};

    w->answered = false;
    w->call.fn = on_reply;
    assert_int_equal(ipc_call(w->asker, &w->call, &m), 0);
}

static void turn_once(struct world *w)
{
    assert_int_equal(io_loop_turn(w->loop), 0);
    usleep(1000);
}

static void turn_until(struct world *w, const bool *condition)
{
    while (!*condition)
        turn_once(w);
}

static void silence_ends_at_the_deadline(void **state)
{
    struct world *w = *state;

    w->service.deadline_ms = 50;
    ask(w, SPAN("a.test"));
    turn_until(w, &w->answered);
    assert_int_equal(w->error, -ETIMEDOUT);
    assert_int_equal(w->service.late_count, 1);
    assert_int_equal(w->service.open_count, 1); /* libunbound goes on */
}

static void turn_some(struct world *w)
{
    for (int i = 0; i < 60; i++)
        turn_once(w);
}

/* What libunbound still looks for takes memory, also when nobody waits for it any more. Others
 * wait, and lose none of their own time by that. */
static void open_questions_are_bounded(void **state)
{
    struct world *w = *state;

    w->service.deadline_ms = 10;
    w->service.open_max = 2;
    for (int i = 0; i < 2; i++) {
        ask(w, i == 0 ? SPAN("a.test") : SPAN("b.test"));
        turn_until(w, &w->answered);
        assert_int_equal(w->error, -ETIMEDOUT);
    }
    ask(w, SPAN("c.test"));
    turn_some(w);
    assert_false(w->answered);
    assert_int_equal(w->service.open_count, 2);
    w->service.open_max = 3; /* as when one has come to its end */
    io_defer(w->loop, &w->service.room);
    turn_until(w, &w->answered);
    assert_int_equal(w->error, -ETIMEDOUT);
    assert_int_equal(w->service.open_count, 3);
}

/* An answer that libunbound has lost never comes. */
static void what_is_never_answered_is_forgotten(void **state)
{
    struct world *w = *state;

    w->service.deadline_ms = 10;
    w->service.forget_ms = 10;
    w->service.open_max = 1;
    ask(w, SPAN("a.test"));
    turn_until(w, &w->answered);
    ask(w, SPAN("b.test"));
    turn_until(w, &w->answered); /* it had a's place */
    assert_int_equal(w->error, -ETIMEDOUT);
    assert_int_equal(w->service.late_count, 2);
    while (w->service.open_count)
        turn_once(w);
    assert_int_equal(w->service.forgotten_count, 2);
    assert_true(list_is_empty(&w->service.abandoned));
}

static unsigned others;

static void on_others_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    others++;
}

/* Each process has its turn, however many questions the other has waiting. */
static void who_waits_is_asked_in_the_turn_of_the_processes(void **state)
{
    static struct ipc_call calls[20];
    struct world *w = *state;
    const struct ipc_message m = {.type = IPC_RESOLVE,
                                  .resolve = {.name = SPAN("b.test"), .type = DNS_TYPE_MX}};
    struct ipc_channel *greedy;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(service_connect(&w->service, IPC_PEER_SMTP, 0, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], &asker_role, w, &greedy), 0);
    w->service.deadline_ms = 10;
    w->service.open_max = 0;
    others = 0;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        calls[i] = (struct ipc_call){.fn = on_others_reply};
        assert_int_equal(ipc_call(greedy, &calls[i], &m), 0);
    }
    turn_some(w);
    ask(w, SPAN("a.test"));
    turn_some(w);
    assert_int_equal(w->service.open_count, 0);
    w->service.open_max = 2;
    io_defer(w->loop, &w->service.room);
    turn_until(w, &w->answered);
    turn_some(w);
    assert_int_equal(others, 1);
    ipc_channel_free(greedy); /* those that still wait are forgotten with it */
    turn_some(w);
    assert_true(list_is_empty(&w->service.askers[0].waiting));
}

static void what_is_no_name_is_refused(void **state)
{
    struct world *w = *state;

    ask(w, SPAN("a..test"));
    turn_until(w, &w->answered);
    assert_int_equal(w->error, -EINVAL);
    assert_int_equal(w->service.open_count, 0);
}

/* Who asks takes -EIO, and nothing else, for what wasn't asked: no domain is to blame for it. */
static void what_cannot_be_asked_is_no_domains_fault(void **state)
{
    struct world *w = *state;

    ask(w, SPAN("a.test"));
    timers_fail = true;
    turn_until(w, &w->answered);
    timers_fail = false;
    assert_int_equal(w->error, -EIO);
    assert_int_equal(w->service.open_count, 0);
}

static void an_asker_that_goes_is_forgotten(void **state)
{
    struct world *w = *state;

    ask(w, SPAN("a.test"));
    while (w->service.open_count == 0) {
        io_loop_turn(w->loop);
        usleep(1000);
    }
    ipc_channel_free(w->asker);
    w->asker = NULL;
    while (w->service.askers[1].channel) {
        io_loop_turn(w->loop);
        usleep(1000);
    }
    connect_asker(w); /* and the next one is served */
    w->service.deadline_ms = 10;
    ask(w, SPAN("b.test"));
    turn_until(w, &w->answered);
    assert_int_equal(w->error, -ETIMEDOUT);
}

static void only_smtp_may_ask(void **state)
{
    struct world *w = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(service_connect(&w->service, IPC_PEER_SMTPD, 0, fds[0]), -EINVAL);
    close(fds[1]);
}

static void a_bad_anchor_fails_closed(void **state)
{
    static const struct span anchors[] = {SPAN(""), SPAN("; empty\n"), SPAN("rubbish")};
    struct conf_resolver conf = {.trust_anchor = SPAN("/a")};
    struct world w = {0};

    for (size_t i = 0; i < ARRAY_SIZE(anchors); i++) {
        const char *why = NULL;
        struct ub_ctx *library = library_open(&conf, anchors[i], &why);
        if (library) {
            why = library_start(library);
            ub_ctx_delete(library);
        }
        assert_non_null(why);
    }
    assert_int_equal(io_loop_new(&w.loop), 0);
    assert_int_equal(service_init(&w.service, w.loop, NULL, "no anchor"), 0);
    connect_asker(&w);
    ask(&w, SPAN("a.test"));
    turn_until(&w, &w.answered);
    assert_int_equal(w.error, -EIO);
    assert_string_equal(w.why, "no anchor");
    ipc_channel_free(w.asker);
    service_done(&w.service);
    io_loop_free(w.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(silence_ends_at_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(open_questions_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_never_answered_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(who_waits_is_asked_in_the_turn_of_the_processes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_name_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_asked_is_no_domains_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(an_asker_that_goes_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(only_smtp_may_ask, setup, teardown),
        cmocka_unit_test(a_bad_anchor_fails_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
