/* The smtp process: its end, a reload, and what administrators ask. */
#include "bench.h"

#include "proc/smtp/job.h"
#include <sys/socket.h>
#include <unistd.h>

static void ends(void **state)
{
    struct asked a, late;

    bench.first.greeting = "220-wait";
    bench_ask(&a, bench_to_first(), SPAN(""), 0, 2);
    UNTIL(bench.first.connections);
    smtp_proc_end(&bench.proc);
    bench_ask(&late, bench_to_first(), SPAN(""), 0, 1);
    UNTIL(a.answers && late.answers);
    assert_int_equal(a.count, 2);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(late.of[0].outcome, IPC_OUTCOME_UNTRIED);
}

/* The socket takes the answers bit by bit. With the end of the process they'd be lost. */
static void ends_when_all_is_told(void **state)
{
    enum { COUNT = 500 };
    static struct asked asked[COUNT];
    const int little = 1;

    assert_int_equal(setsockopt(bench.own_fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    bench.silent = true;
    for (size_t i = 0; i < COUNT; i++)
        bench_ask(&asked[i], bench_to_both(), SPAN(""), 0, 2);
    UNTIL(bench.proc.job_count == COUNT);
    smtp_proc_end(&bench.proc);
    UNTIL(bench.proc.process.ending);
    ipc_channel_free(bench.proc.queue);
    bench.proc.queue = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        UNTIL(asked[i].answers);
        assert_int_equal(asked[i].count, 2);
        assert_int_equal(asked[i].of[1].outcome, IPC_OUTCOME_UNTRIED);
    }
}

/* What was on its way to it when the queue heard that it ends comes back untried; unread, it would
 * be taken for tried. */
static void ends_when_all_jobs_are_there(void **state)
{
    enum { COUNT = 20 };
    static struct asked late[COUNT];

    bench.keeps_on = true;
    smtp_proc_end(&bench.proc);
    UNTIL(bench.stop || bench.proc.process.ending);
    for (size_t i = 0; i < COUNT; i++)
        bench_ask(&late[i], bench_to_both(), SPAN(""), 0, 2);
    assert_false(bench.proc.process.ending);
    bench_say_stopped();
    UNTIL(bench.proc.process.ending);
    ipc_channel_free(bench.proc.queue);
    bench.proc.queue = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        UNTIL(late[i].answers);
        assert_int_equal(late[i].count, 2);
        assert_int_equal(late[i].of[1].outcome, IPC_OUTCOME_UNTRIED);
    }
}

/* Another queue comes meanwhile: it is asked, too. */
static void ends_with_another_queue(void **state)
{
    bench.keeps_on = true;
    smtp_proc_end(&bench.proc);
    UNTIL(bench.stop);
    ipc_channel_free(bench.queue);
    ipc_channel_free(bench.resolver);
    bench.keeps_on = false;
    bench.stop = 0;
    bench_connect_peers();
    UNTIL(bench.proc.process.ending);
    assert_true(bench.stop);
}

static void loses_the_queue(void **state)
{
    struct asked a;

    bench.first.greeting = "220-wait";
    bench_ask(&a, bench_to_first(), SPAN(""), 0, 1);
    UNTIL(bench.first.connections);
    ipc_channel_free(bench.queue);
    bench.queue = NULL;
    UNTIL(bench.proc.job_count == 0 && bench.proc.connection_count == 0);
}

static char routed[512];

static void on_routed(struct ipc_call *call, const struct ipc_message *reply)
{
    assert_non_null(reply);
    bench_copy(reply->routed.text, routed, sizeof(routed));
}

static void explains_a_route(void **state)
{
    struct ipc_message m = {.type = IPC_ROUTE,
                            .route.next_hop = SPAN("host:one.test:26,[2001:db8::1]:25")};
    struct asked a = {.call.fn = on_routed};

    assert_int_equal(ipc_call(bench.queue, &a.call, &m), 0);
    UNTIL(!ipc_call_is_pending(&a.call));
    assert_string_equal(routed, "one.test [127.0.0.1]:26\n[2001:db8::1] [2001:db8::1]:25\n");
    assert_int_equal(bench.questions, 2);
    assert_int_equal(bench.proc.connection_count, 0);
}

/* Its connection is there: that needs nothing of the old configuration. */
static void a_reload_leaves_alone_who_has_a_connection(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a, asking;

    bench.first.greeting = "220-wait";
    bench_ask(&a, bench_to_first(), body, body.size, 1);
    UNTIL(bench.first.connections);
    bench.silent = true;
    bench_ask(&asking, "mx:b.test", body, body.size, 1);
    UNTIL(bench.questions);
    assert_int_equal(smtp_proc_use(&bench.proc, &bench_conf), 0);
    UNTIL(asking.answers);
    assert_int_equal(asking.of[0].outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(a.answers, 0);
    assert_int_equal(write(bench.first.peers[0].fd, "220 go\r\n", 8), 8);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(bench.first.connections, 1);
}

/* Where it leads nobody may answer, and the new route lead elsewhere: without an attempt that
 * counts. */
static void a_reload_stops_who_is_connecting(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench_ask(&a, bench_to_first(), body, body.size, 1);
    UNTIL(bench.proc.job_count);
    assert_int_equal(CONTAINER_OF(bench.proc.jobs.next, struct smtp_job, link)->state,
                     SMTP_JOB_CONNECTING);
    assert_int_equal(smtp_proc_use(&bench.proc, &bench_conf), 0);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_UNTRIED);
    assert_int_equal(bench.first.messages, 0);
}

/* Whoever asked would wait for ever. */
static void a_reload_answers_who_asks_for_a_route(void **state)
{
    struct ipc_message m = {.type = IPC_ROUTE, .route.next_hop = SPAN("host:one.test:26")};
    struct asked a = {.call.fn = on_routed};

    bench.silent = true;
    assert_int_equal(ipc_call(bench.queue, &a.call, &m), 0);
    UNTIL(bench.questions);
    assert_int_equal(smtp_proc_use(&bench.proc, &bench_conf), 0);
    UNTIL(!ipc_call_is_pending(&a.call));
    assert_non_null(strstr(routed, "ask again"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(ends),
        BENCH_TEST(ends_when_all_is_told),
        BENCH_TEST(ends_when_all_jobs_are_there),
        BENCH_TEST(ends_with_another_queue),
        BENCH_TEST(loses_the_queue),
        BENCH_TEST(explains_a_route),
        BENCH_TEST(a_reload_leaves_alone_who_has_a_connection),
        BENCH_TEST(a_reload_stops_who_is_connecting),
        BENCH_TEST(a_reload_answers_who_asks_for_a_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
