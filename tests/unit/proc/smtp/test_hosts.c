/* The smtp process: questions for hosts, and those that are not answered. */
#include "bench.h"

#include "dns/type.h"
#include "proc/smtp/job.h"
#include <stdio.h>
#include <sys/socket.h>

/* Each host's name servers keep silent. */
static void publish_silent_hosts(void)
{
    static char rdata[40][2 + 5 + 1];

    for (size_t i = 0; i < ARRAY_SIZE(rdata); i++) {
        snprintf(rdata[i], sizeof(rdata[i]), "%c%c%ch%03zu", 1, 10, 4, i);
        bench.mx[i].bytes = span_of(rdata[i], sizeof(rdata[i]));
    }
    bench.mx_count = ARRAY_SIZE(rdata);
    bench.hosts_are_silent = true;
}

static void turn_some(void)
{
    for (int i = 0; i < 50; i++)
        io_loop_turn(bench.proc.process.loop);
}

/* A domain of many such hosts takes no more of the resolver than one of four, … */
static void many_silent_hosts_take_few_questions(void **state)
{
    struct asked a;

    publish_silent_hosts();
    bench_ask(&a, "mx:evil.test", SPAN("x"), 1, 1);
    UNTIL(bench.questions >= 1 + 8);
    turn_some();
    assert_int_equal(bench.questions, 1 + 8);
    assert_int_equal(a.answers, 0);
}

/* … when many are open both of one host at a time, … */
static void a_silent_host_takes_the_time_of_one_question(void **state)
{
    static const unsigned others[] = {SMTP_QUESTIONS_SHARED, SMTP_QUESTIONS_PAIRED};

    publish_silent_hosts();
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        struct asked a;
        bench.questions = 0;
        bench.proc.question_count = others[i];
        bench_ask(&a, "mx:evil.test", SPAN("x"), 1, 1);
        UNTIL(bench.questions >= 3 - i);
        turn_some();
        assert_int_equal(bench.questions, 3 - i); /* with the MX */
        smtp_jobs_drop(&bench.proc, SMTP_JOB_MAIL, "the test goes on");
        UNTIL(a.answers);
        assert_int_equal(bench.proc.question_count, others[i]);
    }
    bench.proc.question_count = 0;
}

/* … and very many such attempts one each: others aren't refused, nor do they wait. */
static void very_many_silent_hosts_hold_up_nobody(void **state)
{
    enum { ATTEMPTS = 600 };
    static struct asked evil[ATTEMPTS];
    struct asked a;

    publish_silent_hosts();
    for (size_t i = 0; i < ATTEMPTS; i++)
        bench_ask(&evil[i], "mx:evil.test", SPAN("x"), 1, 1);
    UNTIL(bench.questions >= ATTEMPTS + SMTP_QUESTIONS_SHARED);
    turn_some();
    assert_in_range(bench.proc.question_count, ATTEMPTS, SMTP_QUESTIONS_PAIRED + ATTEMPTS);
    bench.mx_count = 0;
    bench_deliver(&a, bench_to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    smtp_jobs_drop(&bench.proc, SMTP_JOB_MAIL, "the test is over");
    assert_int_equal(bench.proc.question_count, 0);
}

static uint64_t kept[IPC_CALL_WINDOW];
static size_t kept_count;

static void keep_question(void *owner, const struct ipc_arrival *arrival)
{
    kept[kept_count++] = arrival->token;
}

static const struct ipc_handler keeping_handlers[] = {{IPC_RESOLVE, keep_question}};
static const struct ipc_role keeping_role = {"smtp", keeping_handlers, 1, bench_on_lost, false};

static void no_matter(struct ipc_call *call, const struct ipc_message *reply)
{
}

/* More questions than the channel has calls for: who hasn't one under way waits for it. */
static void a_full_channel_is_waited_for(void **state)
{
    static struct ipc_call calls[IPC_CALL_WINDOW];
    struct ipc_message m = {.type = IPC_RESOLVE, .resolve.name = SPAN("x.test")};
    struct ipc_message failed = {.type = IPC_RESOLVED, .resolved.rcode = DNS_RCODE_SERVFAIL};
    struct ipc_channel *keeper;
    struct asked a;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(smtp_proc_connect_resolver(&bench.proc, fds[0]), 0);
    assert_int_equal(ipc_channel_new(bench.proc.process.loop, fds[1], &keeping_role, NULL, &keeper),
                     0);
    kept_count = 0;
    for (size_t i = 0; i < IPC_CALL_WINDOW; i++) {
        calls[i] = (struct ipc_call){.fn = no_matter};
        assert_int_equal(ipc_call(bench.proc.resolver, &calls[i], &m), 0);
    }
    UNTIL(kept_count == IPC_CALL_WINDOW);
    bench_ask(&a, "mx:far.test", SPAN("x"), 1, 1);
    UNTIL(bench.proc.job_count == 1);
    assert_int_equal(a.answers, 0);
    assert_int_equal(bench.proc.question_count, 0);
    kept_count = 0;
    assert_int_equal(ipc_reply(keeper, kept[7], &failed), 0);
    UNTIL(bench.proc.question_count == 1 && kept_count == 1);
    assert_int_equal(ipc_reply(keeper, kept[0], &failed), 0);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION); /* it was asked */
    ipc_channel_free(keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(many_silent_hosts_take_few_questions),
        BENCH_TEST(a_silent_host_takes_the_time_of_one_question),
        BENCH_TEST(very_many_silent_hosts_hold_up_nobody),
        BENCH_TEST(a_full_channel_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
