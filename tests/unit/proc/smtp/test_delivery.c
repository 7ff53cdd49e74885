/* The smtp process: a job, its hosts, and the connections that it takes. */
#include "bench.h"

#include <stdio.h>
#include <sys/socket.h>

static void delivers(void **state)
{
    struct asked a;

    bench_deliver(&a, bench_to_first());
    assert_int_equal(a.count, 1);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_string_equal(a.of[0].text, "250 2.0.0 Ok: queued as ABC123");
    assert_string_equal(a.of[0].status, "2.0.0");
    assert_string_equal(a.of[0].remote_id, "ABC123");
    assert_string_equal(a.of[0].host, "127.0.0.1");
    assert_string_equal(a.of[0].ip, "127.0.0.1");
    assert_span(buffer_span(&bench.first.message), "Received: x\r\nA: b\r\n\r\n..hello\r\n");
    assert_int_equal(bench.questions, 0);
}

static void reuses_connections(void **state)
{
    struct asked a;

    for (int i = 0; i < 5; i++) {
        bench_deliver(&a, bench_to_first());
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    }
    assert_int_equal(bench.first.connections, 1);
    assert_int_equal(bench.proc.reused, 4);
    /* The station hung up meanwhile: the message deserves a new connection. */
    station_hang_up(&bench.first);
    bench_deliver(&a, bench_to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    bench.first.drop_at_mail = true;
    bench_deliver(&a, bench_to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED); /* the new one did it, too */
    assert_int_equal(bench.first.connections, 3);
}

static void goes_to_the_next_host(void **state)
{
    static const struct {
        const char *greeting, *mail, *rcpt, *data, *end, *earlier;
    } cases[] = {{.greeting = "554 5.7.1 no", .earlier = "tried before: one0.test: 554 5.7.1 no"},
                 {.greeting = "hello", .earlier = "tried before: one1.test: this is no SMTP reply"},
                 {.mail = "451 4.3.0 no", .earlier = "tried before: one2.test: 451 4.3.0 no"},
                 {.rcpt = "450 4.2.0 grey", .earlier = "tried before: one3.test: 450 4.2.0 grey"},
                 {.data = "452 4.3.1 full", .earlier = "tried before: one4.test: 452 4.3.1 full"},
                 {.end = "451 4.3.0 no", .earlier = "tried before: one5.test: 451 4.3.0 no"},
                 {.mail = "421 4.3.2 bye", .earlier = "tried before: one6.test: 421 4.3.2 bye"}};
    struct asked a;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bench.first.greeting = cases[i].greeting;
        bench.first.mail = cases[i].mail;
        bench.first.rcpt = cases[i].rcpt;
        bench.first.data = cases[i].data;
        bench.first.end = cases[i].end;
        char name[128];
        snprintf(name, sizeof(name), "host:one%zu.test:%u,two.test:%u", i, bench.first.port,
                 bench.second.port);
        bench_deliver(&a, name);
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
        assert_string_equal(a.of[0].host, "two.test");
        assert_ptr_equal(strstr(a.of[0].earlier, cases[i].earlier), a.of[0].earlier);
        assert_null(strchr(a.of[0].earlier, ';'));
        assert_int_equal(bench.second.messages, i + 1);
    }
}

/* A station that takes one recipient at a time gets the message as often as there are some … */
static void comes_again_for_the_rest(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.recipients_max = 1;
    bench_ask(&a, bench_to_first(), body, body.size, 2);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(bench.first.messages, 2);
}

/* … on a connection each, when it takes one message a connection; … */
static void comes_again_on_another_connection(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("a@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}, {3, SPAN("d@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.recipients_max = 1;
    bench.first.one_message = true;
    for (int kept = 0; kept < 2; kept++) { /* also when it is a kept one first */
        bench_ask_for(&a, bench_to_first(), body, body.size, to, ARRAY_SIZE(to));
        UNTIL(a.answers);
        for (size_t i = 0; i < ARRAY_SIZE(to); i++)
            assert_int_equal(a.of[i].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(bench.first.messages, 4 * (kept + 1));
        assert_int_equal(bench.first.connections, 4 * (kept + 1));
    }
    /* Without any progress it is the host's trouble. */
    bench.first.end = "451 4.3.0 not now";
    bench_ask_for(&a, bench_to_first(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    assert_int_equal(a.of[3].outcome, IPC_OUTCOME_DEFERRED);
    assert_in_range(bench.first.connections, 9, 10);
}

/* … whom it told to come later isn't asked for again at once, but at the next host; … */
static void comes_again_not_for_the_greylisted(void **state)
{
    struct ipc_job_recipient to[] = {{0, SPAN("grey@b.test")},
                                     {1, SPAN("b@b.test")},
                                     {2, SPAN("c@b.test")},
                                     {3, SPAN("d@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.recipients_max = 1;
    for (unsigned round = 1; round <= 3; round++) {
        bench.first.one_message = round == 2; /* also when it takes one message a connection … */
        if (round == 3)                       /* … and says so */
            bench.first.end = "250 2.0.0 Ok\r\n421 4.3.2 one message a connection";
        bench_ask_for(&a, bench_to_both(), body, body.size, to, ARRAY_SIZE(to));
        UNTIL(a.answers);
        assert_int_equal(bench.first.messages, 3 * round);
        for (size_t i = 1; i < ARRAY_SIZE(to); i++)
            assert_int_equal(a.of[i].outcome, IPC_OUTCOME_DELIVERED);
        assert_int_equal(bench.first.greylisted, round);
        assert_int_equal(bench.second.greylisted, round);
        assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
        assert_string_equal(a.of[0].text, "450 4.2.0 greylisted");
        assert_string_equal(a.of[0].earlier, "tried before: one.test: 450 4.2.0 greylisted");
        assert_string_equal(a.of[0].host, "two.test");
        station_hang_up(&bench.first);
        station_hang_up(&bench.second);
        UNTIL(bench.proc.connection_count == 0);
    }
}

/* … but the next one is, when the station doesn't take the rest either; … */
static void the_next_host_gets_the_greylisted(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("grey@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.recipients_max = 1;
    bench.first.one_message = bench.first.one_connection = true;
    bench_ask_for(&a, bench_to_both(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    assert_int_equal(bench.first.messages, 1);
    assert_int_equal(bench.second.messages, 1);
    assert_int_equal(bench.second.greylisted, 1);
    assert_string_equal(a.of[0].host, "two.test");
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[2].outcome, IPC_OUTCOME_DELIVERED);
}

/* … and when that one has had its turn, the first isn't asked about them once more; … */
static void the_greylisted_come_not_back(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("grey@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.greeting = "421 4.3.2 not now";
    bench.second.recipients_max = 1;
    bench.second.one_message = true;
    bench_ask_for(&a, bench_to_both(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(bench.second.messages);
    bench.first.greeting = NULL; /* so it is the first of the new way */
    UNTIL(a.answers);
    assert_int_equal(bench.first.greylisted, 1);
    assert_int_equal(bench.second.greylisted, 1);
    assert_int_equal(bench.second.connections, 1);
    assert_string_equal(a.of[0].host, "one.test");
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[2].outcome, IPC_OUTCOME_DELIVERED);
}

/* … also when its goodbye comes along with its word for the one before; … */
static void comes_again_after_a_goodbye(void **state)
{
    struct ipc_job_recipient to[] = {
        {0, SPAN("a@b.test")}, {1, SPAN("b@b.test")}, {2, SPAN("c@b.test")}, {3, SPAN("d@b.test")}};
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.recipients_max = 1;
    bench.first.end = "250 2.0.0 Ok\r\n421 4.3.2 one message a connection";
    bench_ask_for(&a, bench_to_first(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
        assert_int_equal(a.of[i].outcome, IPC_OUTCOME_DELIVERED);
        assert_string_equal(a.of[i].earlier, ""); /* no trouble at all */
    }
    assert_int_equal(bench.first.messages, 4);
    assert_int_equal(bench.first.connections, 4);
    /* A message that it may have taken or not is no progress. */
    bench.first.drop_at_end = true;
    bench_ask_for(&a, bench_to_first(), body, body.size, to, ARRAY_SIZE(to));
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_UNCERTAIN);
    assert_int_equal(a.of[3].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(bench.first.connections, 5);
}

/* … but only as long as that gets anywhere. */
static void comes_again_not_for_ever(void **state)
{
    struct span body = SPAN("A: b\r\n\r\nhello\r\n");
    struct asked a;

    bench.first.recipients_max = 1;
    bench.first.end = "451 4.3.0 not now";
    bench_ask(&a, bench_to_both(), body, body.size, 2);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(a.of[1].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(bench.first.messages, 1);
    assert_int_equal(bench.second.messages, 1);
}

static void passes_a_closed_port(void **state)
{
    struct asked a;
    char both[128];

    snprintf(both, sizeof(both), "%s,127.0.0.1:%u", bench_to_first(), bench.second.port);
    station_close(&bench.first);
    bench_deliver(&a, both);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    bench_deliver(&a, bench_to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_int_equal(a.of[0].scope, IPC_SCOPE_DESTINATION);
    assert_string_equal(a.of[0].status, "4.4.1");
    assert_non_null(strstr(a.of[0].text, "Connection refused"));
    station_open(&bench.first, bench.proc.process.loop);
}

/* "own" is one address that we listen on; the other stations are somebody else's. */
static void never_carries_mail_back_to_itself(void **state)
{
    static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    struct conf_address own = {.port = (uint16_t)bench.first.port};
    struct asked a;

    memcpy(own.ip, loopback, sizeof(own.ip));
    struct conf_smtp with_own = {.hostname = SPAN("mx.test"), .own = &own, .own_count = 1};
    assert_int_equal(smtp_proc_use(&bench.proc, &with_own), 0);
    bench_deliver(&a, bench_to_first());
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DEFERRED);
    assert_string_equal(a.of[0].status, "4.3.5");
    assert_non_null(strstr(a.of[0].text, "leads back to this server"));
    assert_non_null(strstr(a.of[0].text, "or by a reroute"));
    char translated[64];
    snprintf(translated, sizeof(translated), "host:[64:ff9b::7f00:1]:%u", bench.first.port);
    bench_deliver(&a, translated);
    assert_string_equal(a.of[0].status, "4.3.5");
    bench_deliver(&a, bench_to_both()); /* the second one is another port of this machine */
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    assert_int_equal(bench.first.connections, 0);
    bench_deliver(&a, "mx:b.test"); /* all names are 127.0.0.1 */
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_FAILED);
    assert_string_equal(a.of[0].status, "5.4.6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(delivers),
        BENCH_TEST(reuses_connections),
        BENCH_TEST(goes_to_the_next_host),
        BENCH_TEST(comes_again_for_the_rest),
        BENCH_TEST(comes_again_on_another_connection),
        BENCH_TEST(comes_again_not_for_the_greylisted),
        BENCH_TEST(the_next_host_gets_the_greylisted),
        BENCH_TEST(the_greylisted_come_not_back),
        BENCH_TEST(comes_again_after_a_goodbye),
        BENCH_TEST(comes_again_not_for_ever),
        BENCH_TEST(passes_a_closed_port),
        BENCH_TEST(never_carries_mail_back_to_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
