/* smtpd: the queue or the client goes while a commit is under way. */
#include "world.h"

static void the_queue_dies_under_a_commit(void **state)
{
    struct world *w = *state;

    w->hold_commit = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    world_say(w, "hello\r\n.\r\n", "");
    assert_int_equal(w->commits, 1);
    ipc_channel_free(w->queue);
    world_say(w, "", "451");
    world_say(w, "MAIL FROM:<a@b.test>\r\n", "452");
    world_join_queue(w);
    w->hold_commit = false;
    world_say(w, OPENING "DATA\r\nhello\r\n.\r\n", "250 250 354 250");
}

struct joining {
    struct io_deferred deferred;
    struct world *world;
};

static void on_joining(struct io_deferred *deferred)
{
    struct world *w = CONTAINER_OF(deferred, struct joining, deferred)->world;
    struct ipc_channel *before = w->queue;

    world_join_queue(w);
    ipc_channel_free(before);
}

/* Another queue is there before we have read what the first had said: its mail is sealed, and its
 * client would send it again. */
static void a_commit_of_the_queue_before_is_told(void **state)
{
    struct world *w = *state;
    struct joining joining = {.deferred.fn = on_joining, .world = w};

    w->hold_commit = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    world_say(w, "hello\r\n.\r\n", "");
    world_answer_commit(w);
    io_defer(w->loop, &joining.deferred); /* when the reply is sent */
    w->hold_commit = false;
    world_say(w, "", "250");
    world_say(w, OPENING "DATA\r\nhello\r\n.\r\n", "250 250 354 250");
    assert_int_equal(w->commits, 2);
}

static void a_late_commit_after_the_client_closed_its_side(void **state)
{
    struct world *w = *state;

    w->hold_commit = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    world_say(w, "hello\r\n.\r\nQUIT\r\n", "");
    shutdown(w->client, SHUT_WR);
    world_turns(w);
    assert_int_equal(w->smtpd.session_count, 1);
    world_answer_commit(w);
    world_say(w, "", "250 221");
    assert_true(w->closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_queue_dies_under_a_commit),
        WORLD_TEST(a_commit_of_the_queue_before_is_told),
        WORLD_TEST(a_late_commit_after_the_client_closed_its_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
