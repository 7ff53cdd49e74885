/* smtpd: large bodies on their way to the queue. */
#include "world.h"

#include <errno.h>
#include <unistd.h>

static bool large_body(struct world *w, size_t lines)
{
    static const char line[] =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n";
    bool sent = true;

    for (size_t i = 0; sent && i < lines; i++)
        sent = world_transmit(w, line, sizeof(line) - 1);
    world_turns(w);
    return sent;
}

static void a_large_body_is_streamed(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_true(large_body(w, 10000));
    world_say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 780000);
    assert_true(w->chunk_count >= 11);
    assert_int_equal(w->aborts, 0);
    /* And another one in the same session. */
    w->uploaded = 0;
    world_say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 1000));
    world_say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 78000);
}

static void a_slow_queue_slows_the_client(void **state)
{
    struct world *w = *state;

    w->hold_chunks = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_false(large_body(w, 200000));
    /* All chunks that may are under way, and not much more was read. */
    assert_int_equal(w->chunk_count, SMTPD_UPLOAD_CALLS_MAX);
    struct smtpd_session *s = CONTAINER_OF(w->smtpd.sessions.next, struct smtpd_session, link);
    assert_true(s->input.size <= SMTPD_READ_BYTES);
    /* It leaves; that is seen when the queue goes on. */
    close(w->client);
    w->client = -1;
    w->hold_chunks = false;
    world_take_chunks(w);
    world_turns(w);
    world_turns(w);
    assert_int_equal(w->smtpd.session_count, 0);
    assert_int_equal(w->aborts, 1);
    assert_int_equal(w->commits, 0);
}

/* While it comes, or when the whole of it waits to be committed: the client is told why. "Too
 * large" only when that is so by what is in force here, too; the queue's limit may be an older one.
 */
static void the_queue_s_reason_is_told(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "EHLO x\r\n", "220 250");
    for (int i = 0; i < 6; i++) {
        static const uint64_t limits[] = {SIZE_LIMIT, 100000, 0};
        static const char *const replies[] = {"451", "552", "451"};
        const char *reply = replies[i / 2];
        bool waits = i % 2;
        world_configure(w, 10, limits[i / 2]);
        w->chunk_error = -EMSGSIZE;
        w->hold_chunks = waits;
        world_say(w, OPENING "DATA\r\n", "250 250 354");
        assert_true(large_body(w, 3000));
        world_say(w, ".\r\n", waits ? "" : reply);
        if (waits) {
            world_take_chunks(w);
            world_say(w, "", reply);
        }
        assert_int_equal(w->commits, 0);
    }
}

/* It has none of what came before: not half of a message may be committed, nor refused for good. */
static void a_new_queue_gets_no_rest_of_a_body(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_true(large_body(w, 3000));
    assert_true(w->chunk_count > 0);
    ipc_channel_free(w->queue);
    world_turns(w);
    world_join_queue(w);
    w->uploaded = 0;
    assert_true(large_body(w, 3000));
    world_say(w, ".\r\n", "451");
    assert_int_equal(w->commits, 0);
    w->uploaded = 0;
    world_say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 3000));
    world_say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 234000);
}

/* The session gives it up; the next message is one of its own. */
static void a_queue_that_stalls_too_long(void **state)
{
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);

    l->settings.answer_timeout_ms = 1000;
    w->hold_chunks = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    assert_false(large_body(w, 200000));
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    w->hold_chunks = false;
    for (int i = 0; i < 10; i++) /* what lies in the socket is read to its end */
        world_turns(w);
    world_say(w, "\r\n.\r\n", "451");
    assert_int_equal(w->aborts, 1);
    world_take_chunks(w); /* late */
    w->uploaded = 0;
    world_say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 3000));
    world_say(w, ".\r\n", "250");
    assert_int_equal(w->commits, 1);
    assert_int_equal(w->body_size, 234000);
    assert_int_equal(w->number, 2);
}

/* The queue has no room for a piece. The linker puts this in its place (meson.build). */
static bool no_room;

int __real_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);
int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message);

int __wrap_ipc_call(struct ipc_channel *channel, struct ipc_call *call,
                    const struct ipc_message *message)
{
    if (no_room && message->type == IPC_UPLOAD_CHUNK)
        return -EAGAIN;
    return __real_ipc_call(channel, call, message);
}

/* None of it went, so the next message is not taken for the rest of one that the queue before has.
 */
static void an_upload_that_never_began_is_forgotten(void **state)
{
    struct world *w = *state;
    struct smtpd_listener *l =
        CONTAINER_OF(w->smtpd.in_force->listeners.next, struct smtpd_listener, link);

    l->settings.answer_timeout_ms = 1000;
    no_room = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    large_body(w, 2000);
    w->smtpd.time.monotonic_ms += 1000;
    smtpd_sessions_expire(&w->smtpd);
    for (int i = 0; i < 10; i++) /* what lies in the socket is read to its end */
        world_turns(w);
    no_room = false;
    const struct smtpd_session *s =
        CONTAINER_OF(w->smtpd.sessions.next, struct smtpd_session, link);
    assert_false(s->upload.stuck || list_is_linked(&s->upload.waiter.link));
    world_say(w, "\r\n.\r\n", "451");
    assert_int_equal(w->uploaded, 0);
    assert_int_equal(w->aborts, 0); /* there is nothing that the queue could abort */
    ipc_channel_free(w->queue);
    world_turns(w);
    world_join_queue(w);
    world_say(w, OPENING "DATA\r\n", "250 250 354");
    assert_true(large_body(w, 3000));
    world_say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 234000);
    assert_int_equal(w->number, 1);
}

/* What waited for the queue before goes whole to the one that came instead. */
static void a_first_piece_that_waits_goes_to_the_next_queue(void **state)
{
    struct world *w = *state;

    no_room = true;
    world_dial(w);
    world_say(w, "EHLO x\r\n" OPENING "DATA\r\n", "220 250 250 250 354");
    large_body(w, 2000);
    no_room = false;
    struct ipc_channel *before = w->queue;
    world_join_queue(w);
    ipc_channel_free(before);
    world_turns(w);
    world_say(w, ".\r\n", "250");
    assert_int_equal(w->body_size, 156000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_large_body_is_streamed),
        WORLD_TEST(a_slow_queue_slows_the_client),
        WORLD_TEST(the_queue_s_reason_is_told),
        WORLD_TEST(a_new_queue_gets_no_rest_of_a_body),
        WORLD_TEST(a_queue_that_stalls_too_long),
        WORLD_TEST(an_upload_that_never_began_is_forgotten),
        WORLD_TEST(a_first_piece_that_waits_goes_to_the_next_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
