/* smtpd: who is let in, and by which configuration. */
#include "world.h"

#include <sys/resource.h>
#include <unistd.h>

static void nobody_is_accepted_without_a_directory(void **state)
{
    struct world *w = *state;

    ipc_channel_free(w->directory);
    world_turns(w);
    world_dial(w);
    assert_int_equal(w->smtpd.session_count, 0);
    world_join_directory(w);
    world_say(w, "", "220");
}

/* Nobody spins meanwhile. */
static void who_comes_when_descriptors_are_short_waits(void **state)
{
    struct world *w = *state;
    struct rlimit before;
    int next = dup(STDOUT_FILENO); /* the client's own socket, and no other */

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = {(rlim_t)next + 1, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_dial(w);
    assert_true(w->smtpd.accept_paused);
    assert_int_equal(w->smtpd.session_count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 1000 && w->said.size == 0; i++) {
        usleep(10000); /* the tick is a second */
        world_turns(w);
    }
    world_say(w, "", "220");
}

/* Whoever takes all connections from the network keeps no program of this machine from sending, nor
 * the other way round. */
static void local_users_have_connections_of_their_own(void **state)
{
    struct world *w = *state;
    int stranger, user;

    world_configure(w, 1, SIZE_LIMIT);
    w->many = true;
    world_dial(w);
    stranger = w->client;
    world_say(w, "", "220");
    assert_true(smtpd_is_full(&w->smtpd));
    world_dial(w);
    world_say(w, "", ""); /* it waits */
    close(w->client);
    world_dial_locally(w);
    user = w->client;
    world_say(w, "", "220");
    world_dial_locally(w);
    world_say(w, "", "");
    close(stranger);
    world_turns(w);
    world_say(w, "", "");
    assert_false(smtpd_is_full(&w->smtpd));
    close(user);
    world_say(w, "", "220");
}

/* However many the network may have: they cost more. */
static void local_users_have_fewer_connections(void **state)
{
    struct world *w = *state;
    int users[SMTPD_LOCAL_MAX];

    world_configure(w, 0, SIZE_LIMIT);
    w->many = true;
    for (int i = 0; i < SMTPD_LOCAL_MAX; i++) {
        world_dial_locally(w);
        users[i] = w->client;
        world_say(w, "", "220");
    }
    world_dial_locally(w);
    world_say(w, "", "");
    int waiting = w->client;
    world_dial(w);
    world_say(w, "", "220");
    close(w->client);
    close(users[0]);
    w->client = waiting;
    world_say(w, "", "220");
    for (int i = 1; i < SMTPD_LOCAL_MAX; i++)
        close(users[i]);
}

static void a_session_keeps_its_generation(void **state)
{
    struct world *w = *state;

    world_dial(w);
    world_say(w, "EHLO x\r\n", "220 250");
    world_configure(w, 10, SIZE_LIMIT);
    world_say(w, OPENING "DATA\r\nhello\r\n.\r\n", "250 250 354 250");
    assert_int_equal(w->smtpd.in_force->references, 1);
    world_hang_up(w);
    world_dial(w); /* the new socket */
    world_say(w, "", "220");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(nobody_is_accepted_without_a_directory),
        WORLD_TEST(who_comes_when_descriptors_are_short_waits),
        WORLD_TEST(local_users_have_connections_of_their_own),
        WORLD_TEST(local_users_have_fewer_connections),
        WORLD_TEST(a_session_keeps_its_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
