#include "../../unit.h"

#include "smtp/client/walk.h"

static struct smtp_target v4(uint16_t host, uint8_t n)
{
    return (struct smtp_target){host, 25, {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, n}};
}

static struct smtp_target v6(uint16_t host, uint8_t n)
{
    return (struct smtp_target){host, 25, {0x20, 0x01, 0x0d, 0xb8, [15] = n}};
}

/* The last byte of the address, which names it here. */
static unsigned name_of(const struct smtp_walk *w, size_t i)
{
    return smtp_walk_target(w, i)->ip[15];
}

static size_t connect_to(struct smtp_walk *w, int64_t now_ms, unsigned name)
{
    size_t i = 99;

    assert_int_equal(smtp_walk_step(w, now_ms, &i), SMTP_WALK_CONNECT);
    assert_int_equal(name_of(w, i), name);
    return i;
}

static void wait_until(struct smtp_walk *w, int64_t now_ms, int64_t due_ms)
{
    size_t i;

    assert_int_equal(smtp_walk_step(w, now_ms, &i), SMTP_WALK_WAIT);
    assert_int_equal(smtp_walk_due_ms(w), due_ms);
}

static void order(void **state)
{
    const struct smtp_target targets[] = {v4(0, 1), v4(0, 2), v6(0, 3), v4(1, 4), v6(1, 5)};
    static const unsigned expected[] = {3, 1, 2, 5, 4};
    struct smtp_walk w;
    size_t i;

    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    for (size_t k = 0; k < ARRAY_SIZE(expected); k++)
        smtp_walk_failed(&w, connect_to(&w, 0, expected[k]));
    assert_int_equal(smtp_walk_step(&w, 0, &i), SMTP_WALK_OVER);
}

static void race(void **state)
{
    const struct smtp_target targets[] = {v4(0, 1), v6(0, 2), v4(0, 3), v4(1, 4)};
    struct smtp_walk w;
    size_t dropped;

    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    size_t slow = connect_to(&w, 1000, 2);
    wait_until(&w, 1000, 1250);
    wait_until(&w, 1249, 1250);
    size_t winner = connect_to(&w, 1250, 1);
    wait_until(&w, 1250, 31000); /* two at a time */
    smtp_walk_connected(&w, winner);
    assert_int_equal(smtp_walk_step(&w, 1300, &dropped), SMTP_WALK_DROP);
    assert_int_equal(dropped, slow);
    wait_until(&w, 1300, INT64_MAX);
    /* Its session went wrong: the other ones get their turn, the slow one again. */
    smtp_walk_failed(&w, winner);
    smtp_walk_failed(&w, connect_to(&w, 2000, 2));
    smtp_walk_failed(&w, connect_to(&w, 2000, 3));
    connect_to(&w, 2000, 4);
}

static void slow_hosts(void **state)
{
    const struct smtp_target targets[] = {v4(0, 1), v4(1, 2)};
    struct smtp_walk w;
    size_t i;

    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    connect_to(&w, 0, 1);
    wait_until(&w, 5000, 30000); /* the next host is for when this one is down */
    wait_until(&w, 29999, 30000);
    i = 99;
    assert_int_equal(smtp_walk_step(&w, 30000, &i), SMTP_WALK_DROP);
    assert_int_equal(name_of(&w, i), 1);
    connect_to(&w, 30000, 2);
    assert_int_equal(smtp_walk_step(&w, 60000, &i), SMTP_WALK_DROP);
    assert_int_equal(name_of(&w, i), 2);
    assert_int_equal(smtp_walk_step(&w, 60000, &i), SMTP_WALK_OVER);
}

/* Each host has its race, not only the first; and whoever runs, the count of tries is one. */
static void races_of_later_hosts(void **state)
{
    const struct smtp_target targets[] = {v4(3, 1), v4(7, 2), v6(7, 3), v6(8, 4)};
    struct smtp_walk w;

    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    smtp_walk_failed(&w, connect_to(&w, 0, 1));
    size_t slow = connect_to(&w, 1000, 3);
    wait_until(&w, 1000, 1250);
    size_t second = connect_to(&w, 1250, 2);
    smtp_walk_failed(&w, slow);
    wait_until(&w, 9000, 31250); /* the rest is another host's */
    smtp_walk_failed(&w, second);
    connect_to(&w, 9000, 4);
}

static void no_race_is_worth_more_tries(void **state)
{
    struct smtp_target targets[SMTP_WALK_TRIES_MAX + 1];
    struct smtp_walk w;

    for (size_t k = 0; k < ARRAY_SIZE(targets); k++)
        targets[k] = v4(0, (uint8_t)k);
    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    for (unsigned k = 0; k + 1 < SMTP_WALK_TRIES_MAX; k++)
        smtp_walk_failed(&w, connect_to(&w, 0, k));
    size_t last = connect_to(&w, 0, SMTP_WALK_TRIES_MAX - 1);
    wait_until(&w, 5000, 30000);
    smtp_walk_failed(&w, last);
    size_t i;
    assert_int_equal(smtp_walk_step(&w, 5000, &i), SMTP_WALK_OVER);
}

static void bounds(void **state)
{
    struct smtp_target targets[SMTP_WALK_TARGETS_MAX + 5];
    struct smtp_walk w;
    size_t i, tries = 0, sessions = 0;

    for (size_t k = 0; k < ARRAY_SIZE(targets); k++)
        targets[k] = v4((uint16_t)k, (uint8_t)k);
    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    for (; smtp_walk_step(&w, 0, &i) == SMTP_WALK_CONNECT; tries++)
        smtp_walk_failed(&w, i);
    assert_int_equal(tries, SMTP_WALK_TRIES_MAX);
    smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
    for (; smtp_walk_step(&w, 0, &i) == SMTP_WALK_CONNECT; sessions++) {
        smtp_walk_connected(&w, i);
        smtp_walk_failed(&w, i);
    }
    assert_int_equal(sessions, SMTP_WALK_SESSIONS_MAX);
    smtp_walk_init(&w, targets, 0);
    assert_int_equal(smtp_walk_step(&w, 0, &i), SMTP_WALK_OVER);
}

/* For want of descriptors: who is under way may still win, then all others have their turn again.
 */
static void stops(void **state)
{
    const struct smtp_target targets[] = {v6(0, 1), v4(0, 2), v4(0, 3), v4(1, 4)};
    struct smtp_walk w;
    size_t i;

    for (int wins = 0; wins < 2; wins++) {
        smtp_walk_init(&w, targets, ARRAY_SIZE(targets));
        size_t first = connect_to(&w, 0, 1), second = connect_to(&w, 250, 2);
        smtp_walk_stop(&w);
        smtp_walk_failed(&w, second);
        wait_until(&w, 600, 30000);
        if (wins)
            smtp_walk_connected(&w, first);
        smtp_walk_failed(&w, first);
        if (wins)
            connect_to(&w, 700, 3);
        else
            assert_int_equal(smtp_walk_step(&w, 700, &i), SMTP_WALK_OVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order),
                                       cmocka_unit_test(race),
                                       cmocka_unit_test(slow_hosts),
                                       cmocka_unit_test(races_of_later_hosts),
                                       cmocka_unit_test(no_race_is_worth_more_tries),
                                       cmocka_unit_test(bounds),
                                       cmocka_unit_test(stops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
