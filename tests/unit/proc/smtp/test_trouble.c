/* The smtp process: what it tells of an attempt that came to nothing, and of whom. */
#include "bench.h"

#include "dns/name.h"
#include "proc/smtp/job.h"
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* To whoever has a host on this link. */
static void allow_private_hosts(void)
{
    static const struct conf_smtp near = {.hostname = {"mx.test", 7}, .allow_private_mx = true};

    assert_int_equal(smtp_proc_use(&bench.proc, &near), 0);
}

/* The longest name that the DNS has, each byte of which is written as four characters. */
static struct span longest_mx(char rdata[static 2 + DNS_WIRE_MAX])
{
    static const size_t labels[] = {63, 63, 63, 61};
    size_t size = 2;

    memset(rdata, 1, 2 + DNS_WIRE_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
        rdata[size] = (char)labels[i];
        size += 1 + labels[i];
    }
    rdata[size++] = 0;
    return span_of(rdata, size);
}

/* … and is answered all the same: whoever asked waits for ever otherwise. */
static void tells_of_hosts_with_the_longest_names(void **state)
{
    char rdata[2 + DNS_WIRE_MAX];
    struct asked a;

    allow_private_hosts();
    bench.mx[bench.mx_count++].bytes = longest_mx(rdata);
    bench_deliver(&a, "mx:evil.test");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].status, "4.4.1");
    assert_non_null(strstr(a.of[0].text, "can't connect to [fe80::1]:25"));
    assert_int_equal(strlen(a.of[0].host), SMTP_HOST_SIZE - 1);
    assert_int_equal(bench.proc.job_count, 0);
}

/* What failed before any host was known is the domain's alone: others at the hosts that it had
 * before must neither wait for it nor be helped by it. */
static void tells_whom_a_trouble_is_about(void **state)
{
    static const struct {
        const char *next_hop, *host, *set;
        enum ipc_scope scope;
    } cases[] = {
        {"mx:lame.test", NULL, "?lame.test", IPC_SCOPE_DESTINATION},
        {"mx:none.test", NULL, "?none.test", IPC_SCOPE_RECIPIENT},
        {"mx:far.test", "\0\012\1b\0", "b", IPC_SCOPE_DESTINATION},
        {"mx:far.test", "\0\012\4lame\1x\0", "lame.x", IPC_SCOPE_DESTINATION},
        {"mx:far.test", "\0\012\4none\1x\0", "none.x", IPC_SCOPE_RECIPIENT},
        {"mx:far.test", "\0\012\0", "?far.test", IPC_SCOPE_RECIPIENT}, /* null MX */
    };
    static const size_t sizes[] = {0, 0, 5, 10, 10, 3};
    struct asked a;

    allow_private_hosts();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bench.mx_count = cases[i].host != NULL;
        bench.mx[0].bytes = span_of(cases[i].host, sizes[i]);
        bench_deliver(&a, cases[i].next_hop);
        assert_int_not_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(a.of[0].scope, cases[i].scope);
        assert_string_equal(a.mx_set, cases[i].set);
    }
    bench.broken = true;
    bench_deliver(&a, "mx:far.test");
    assert_int_equal(a.of[0].scope, IPC_SCOPE_OURS);
    assert_string_equal(a.mx_set, "");
}

/* Answers for good come from the first host that gives one. */
static void returns(void **state)
{
    struct asked a;

    bench.first.rcpt = "550-5.1.1 no\r\n550 5.1.1 bob";
    bench_deliver(&a, bench_to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[0].text, "550-5.1.1 no\n550 5.1.1 bob");
    assert_string_equal(a.of[0].host, "one.test");
    assert_int_equal(bench.second.connections, 0);
}

/* The second station's greeting is what is told; and the words of the first one. */
static void assert_second_refused(const struct asked *a, const char *earlier)
{
    assert_int_equal(a->of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a->of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a->of[0].status, "4.7.1");
    assert_string_equal(a->of[0].text, "554 5.7.1 listed");
    assert_string_equal(a->of[0].host, "two.test");
    assert_string_equal(a->of[0].earlier, earlier);
}

static void tells_the_last_trouble(void **state)
{
    struct asked a;

    bench.first.greeting = bench.second.greeting = "554 5.7.1 listed";
    bench_deliver(&a, bench_to_both());
    assert_second_refused(&a, "tried before: one.test: 554 5.7.1 listed");
}

/* Also when the one before had got as far as a session. */
static void a_later_trouble_is_the_last(void **state)
{
    struct asked a;

    bench.first.mail = "421 4.3.2 bye";
    bench.second.greeting = "554 5.7.1 listed";
    bench_deliver(&a, bench_to_both());
    assert_second_refused(&a, "tried before: one.test: 421 4.3.2 bye");
    /* The words of a session's end, when nothing else comes. */
    bench_deliver(&a, bench_to_first());
    assert_string_equal(a.of[0].text, "421 4.3.2 bye");
    assert_string_equal(a.of[0].status, "4.3.2");
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].host, "127.0.0.1");
    assert_string_equal(a.of[0].earlier, "");
}

/* What failed then is told, not that a kept connection had ended. */
static void blames_no_station_for_a_stale_connection(void **state)
{
    struct asked a;

    bench_deliver(&a, bench_to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    bench.first.drop_at_mail = true;
    bench.first.greeting = bench.second.greeting = "554 5.7.1 listed";
    bench_deliver(&a, bench_to_both());
    assert_int_equal(bench.first.connections, 2);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_string_equal(a.of[0].text, "554 5.7.1 listed");
    assert_string_equal(a.of[0].host, "two.test");
    assert_string_equal(a.of[0].earlier, "tried before: one.test: 554 5.7.1 listed");
}

/* Whom its station's EHLO ruled out before a byte was sent isn't refused by nobody: he is tried at
 * the next one with the others. */
static void refuses_nobody_on_a_stale_connection(void **state)
{
    struct ipc_job_recipient to[] = {{0, SPAN("bob@b.test")}, {7, SPAN("k\xc3\xa4the@b.test")}};
    struct span body = SPAN("A: b\r\n\r\n.hello\r\n");
    struct asked a;

    bench_deliver(&a, bench_to_first());
    bench.first.drop_at_mail = true;
    bench_ask_for(&a, bench_to_first(), body, body.size, to, 2);
    UNTIL(a.answers);
    assert_int_equal(bench.first.connections, 2);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[1].status, "5.6.7");
    assert_string_equal(a.of[1].host, "127.0.0.1");
    assert_string_equal(a.of[1].ip, "127.0.0.1");
}

/* Who has a bad address doesn't hold up the mail of others to the same place; "too many from you"
 * does. */
static void tells_a_bad_sender_from_a_busy_host(void **state)
{
    static const struct {
        const char *mail, *data;
        enum ipc_scope scope;
    } cases[] = {
        {"451 4.1.8 the sender's domain can't be found", NULL, IPC_SCOPE_RECIPIENT},
        {"451 4.7.1 too many from you", NULL, IPC_SCOPE_DESTINATION},
        {"451 not now", NULL, IPC_SCOPE_DESTINATION},
        {NULL, "451 4.1.8 the sender's domain can't be found", IPC_SCOPE_RECIPIENT},
        {NULL, "451 4.3.1 the disk is full", IPC_SCOPE_DESTINATION},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct asked a;
        bench.first.mail = cases[i].mail;
        bench.first.data = cases[i].data;
        bench_deliver(&a, bench_to_first());
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
        assert_int_equal(a.of[0].scope, cases[i].scope);
    }
}

/* No other host gets it: it may be there already. */
static void is_uncertain(void **state)
{
    struct asked a;

    bench.first.drop_at_end = true;
    bench_deliver(&a, bench_to_both());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_UNCERTAIN);
    assert_int_equal(bench.second.connections, 0);
}

static void knows_dead_domains(void **state)
{
    struct asked a;

    bench_deliver(&a, "mx:none.test");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[0].status, "5.1.2");
    ipc_channel_free(bench.resolver);
    bench.resolver = NULL;
    UNTIL(!bench.proc.resolver);
    bench_deliver(&a, "mx:b.test");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    bench_deliver(&a, "nonsense");
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].status, "4.3.5");
}

/* Whoever wrote the route is told which name is wrong, or which server fails. */
static void tells_why_a_route_has_no_address(void **state)
{
    static const struct {
        const char *next_hop, *status, *why;
    } cases[] = {
        {"host:none.test:25", "4.4.4", "none.test does not exist (NXDOMAIN)"},
        {"host:bare.test:25", "4.4.4", "bare.test has no address (A, AAAA)"},
        {"host:lame.test:25", "4.4.3", "the question for the AAAA of lame.test failed: SERVFAIL"},
        /* What tells most. */
        {"host:bare.test:25,none.test:25", "4.4.4", "none.test does not exist (NXDOMAIN)"},
        {"host:none.test:25,lame.test:25,bare.test:25", "4.4.3",
         "the question for the AAAA of lame.test failed: SERVFAIL"},
    };
    struct asked a;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[200];
        snprintf(text, sizeof(text), "no host of the route has a known address: %s", cases[i].why);
        bench_deliver(&a, cases[i].next_hop);
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
        assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
        assert_string_equal(a.of[0].status, cases[i].status);
        assert_string_equal(a.of[0].text, text);
    }
}

/* Nothing was learnt of the destination: others' mail there must not wait for it. */
static void blames_nobody_for_a_resolver_that_fails(void **state)
{
    struct asked a;

    bench.broken = true;
    bench_deliver(&a, "mx:b.test");
    bench_assert_ours(&a);
    bench_deliver(&a, bench_to_both());
    bench_assert_ours(&a);
    assert_string_equal(a.of[0].text,
                        "no host of the route has a known address: the question for the AAAA of "
                        "one.test failed: the resolver couldn't ask");
    ipc_channel_free(bench.resolver);
    bench.resolver = NULL;
    UNTIL(!bench.proc.resolver);
    bench_deliver(&a, "mx:b.test");
    bench_assert_ours(&a);
    bench_deliver(&a, bench_to_both());
    bench_assert_ours(&a);
}

static void blames_nobody_for_want_of_descriptors(void **state)
{
    struct rlimit before, none;
    struct asked a;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bench_deliver(&a, bench_to_first());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    bench_assert_ours(&a);
    assert_non_null(strstr(a.of[0].text, "Too many open files"));
}

/* A station on 127.0.0.2 that doesn't answer: its queue is full. Linux drops a SYN then. */
static unsigned be_silent(int fds[static 3])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    socklen_t size = sizeof(a);

    for (int i = 0; i < 3; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&a, size), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    assert_int_equal(getsockname(fds[0], (struct sockaddr *)&a, &size), 0);
    for (int i = 1; i < 3; i++)
        connect(fds[i], (struct sockaddr *)&a, size);
    return ntohs(a.sin_port);
}

/* Of two addresses the second can't be tried, and the first then fails by itself: not its fault
 * alone, so it isn't blamed, nor is the next host asked. */
static void blames_nobody_for_want_of_descriptors_in_a_race(void **state)
{
    struct rlimit before, none;
    char next_hop[64];
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct smtp_job *job = NULL;
    struct asked a;
    int fds[3];

    snprintf(next_hop, sizeof(next_hop), "host:pair.test:%u,127.0.0.1:%u", be_silent(fds),
             bench.first.port);
    bench_ask(&a, next_hop, body, body.size, 1);
    UNTIL(bench.proc.job_count);
    job = CONTAINER_OF(bench.proc.jobs.next, struct smtp_job, link);
    UNTIL(job->race.walk.tries == 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(a.answers || job->race.walk.tries == 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(a.answers, 0); /* it might still answer */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    UNTIL(a.answers);
    bench_assert_ours(&a);
    assert_non_null(strstr(a.of[0].text, "Too many open files"));
    assert_int_equal(bench.first.connections, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(tells_of_hosts_with_the_longest_names),
        BENCH_TEST(tells_whom_a_trouble_is_about),
        BENCH_TEST(returns),
        BENCH_TEST(tells_the_last_trouble),
        BENCH_TEST(a_later_trouble_is_the_last),
        BENCH_TEST(blames_no_station_for_a_stale_connection),
        BENCH_TEST(refuses_nobody_on_a_stale_connection),
        BENCH_TEST(tells_a_bad_sender_from_a_busy_host),
        BENCH_TEST(is_uncertain),
        BENCH_TEST(knows_dead_domains),
        BENCH_TEST(tells_why_a_route_has_no_address),
        BENCH_TEST(blames_nobody_for_a_resolver_that_fails),
        BENCH_TEST(blames_nobody_for_want_of_descriptors),
        BENCH_TEST(blames_nobody_for_want_of_descriptors_in_a_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
