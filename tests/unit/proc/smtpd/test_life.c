/* smtpd: its end. */
#include "world.h"

#include <netinet/in.h>
#include <unistd.h>

/* Of the time in which the last sessions end, too, each refusal is in the book, alone or counted.
 */
static void shutdown_loses_no_refusal(void **state)
{
    struct world *w = *state;
    struct event refusal = {.kind = EVENT_REFUSED, .count = 1};

    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING, "220 250 250 250");
    smtpd_end(&w->smtpd);
    for (int i = 0; i < SMTPD_REFUSALS_ALONE + 5; i++)
        smtpd_refusals_add(&w->smtpd.refusals, &refusal, w->smtpd.time.monotonic_ms);
    world_turns(w);
    assert_int_equal(w->events, SMTPD_REFUSALS_ALONE);
    world_say(w, "DATA\r\nhello\r\n.\r\n", "354 250 421");
    world_hang_up(w);
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
    world_turns(w);
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

    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING, "220 250 250 250");
    smtpd_end(&w->smtpd);
    world_say(w, "DATA\r\nhello\r\n.\r\n", "354 250 421");
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
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING, "220 250 250 250");
    smtpd_end(&w->smtpd);
    assert_int_equal(bind(other, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(other, 1), 0);
    world_say(w, "DATA\r\nhello\r\n.\r\n", "354 250 421");
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(shutdown_loses_no_refusal),         WORLD_TEST(who_leaves_has_told_all),
        WORLD_TEST(who_leaves_does_not_wait_for_ever), WORLD_TEST(shutdown_finishes_the_message),
        WORLD_TEST(shutdown_gives_the_address_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
