/* The smtp process: bodies that come from the queue in pieces. */
#include "bench.h"

enum { PIECE = 50000, PIECES = 40 };

static void send_piece(struct asked *a, const char *bytes, size_t size)
{
    struct ipc_message m = {.type = IPC_JOB_BODY,
                            .job_body = {.job = 1, .bytes = span_of(bytes, size)}};
    unsigned taken = a->taken;

    assert_int_equal(ipc_call(bench.queue, &a->chunk, &m), 0);
    UNTIL(a->taken > taken);
}

/* A body that the queue kept back comes when a station is there. */
static void asks_for_a_body_that_was_kept_back(void **state)
{
    struct asked a;

    bench_ask(&a, bench_to_first(), SPAN(""), 7, 1);
    assert_int_equal(bench.wanted, 0);
    UNTIL(bench.wanted == 1);
    assert_int_equal(bench.first.connections, 1);
    assert_int_equal(a.answers, 0);
    send_piece(&a, "hello\r\n", 7);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
}

/* … also when the one that was kept ends while it is waited for. */
static void a_connection_may_end_while_the_body_is_waited_for(void **state)
{
    struct asked a;

    bench_deliver(&a, bench_to_first());
    bench_ask(&a, bench_to_first(), SPAN(""), 7, 1);
    UNTIL(bench.wanted == 1);
    assert_int_equal(bench.first.connections, 1);
    station_hang_up(&bench.first);
    UNTIL(bench.first.connections == 2 || a.answers);
    assert_int_equal(a.answers, 0);
    send_piece(&a, "hello\r\n", 7);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
}

static void streams(const char *ehlo)
{
    static char piece[PIECE];
    struct asked a;

    for (size_t i = 0; i < PIECE; i += 50) {
        memset(piece + i, '.', 48);
        memcpy(piece + i + 48, "\r\n", 2);
    }
    bench.first.ehlo = ehlo;
    bench_ask(&a, bench_to_first(), SPAN(""), (uint64_t)PIECE * PIECES, 1);
    for (int i = 0; i < PIECES; i++)
        send_piece(&a, piece, PIECE);
    UNTIL(a.answers);
    assert_int_equal(a.of[0].outcome, IPC_OUTCOME_DELIVERED);
    size_t dots = ehlo ? 0 : (size_t)PIECES * PIECE / 50;
    assert_int_equal(bench.first.message.size, strlen("Received: x\r\n") + PIECE * PIECES + dots);
}

static void streams_large_messages(void **state)
{
    streams(NULL);
}

static void streams_in_chunks(void **state)
{
    streams("250-x\r\n250-CHUNKING\r\n250 PIPELINING");
}

static void lets_go_of_a_body_that_cannot_come(void **state)
{
    struct asked a;
    char piece[100] = "";

    memset(piece, 'x', sizeof(piece));
    bench_ask(&a, bench_to_first(), SPAN(""), 1000, 1);
    send_piece(&a, piece, sizeof(piece));
    send_piece(&a, piece, 0);
    UNTIL(a.answers);
    bench_assert_ours(&a);
    assert_int_equal(bench.first.messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(asks_for_a_body_that_was_kept_back),
        BENCH_TEST(a_connection_may_end_while_the_body_is_waited_for),
        BENCH_TEST(streams_large_messages),
        BENCH_TEST(streams_in_chunks),
        BENCH_TEST(lets_go_of_a_body_that_cannot_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
