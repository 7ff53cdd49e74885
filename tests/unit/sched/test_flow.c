#include "replay.h"

/* Finishes what is taken and writes down the order. */
static void assert_order(struct replay *r, const uint32_t *owners, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t item;
        assert_int_equal(replay_take_item(r, &item), owners[i]);
        replay_outcome(r, item, SCHED_RESULT_DONE);
    }
    assert_int_equal(replay_take(r), 0);
}

static void senders_take_turns(void **state)
{
    struct replay r = replay_start();
    for (uint32_t i = 1; i <= 5; i++)
        replay_add(&r, i, "bbb.example", "bulk@aaa.example");
    replay_add(&r, 11, "bbb.example", "anna@aaa.example");
    replay_add(&r, 12, "bbb.example", "anna@aaa.example");
    assert_order(&r, (uint32_t[]){1, 11, 2, 12, 3, 4, 5}, 7);
    replay_end(&r);
}

static void destinations_take_turns(void **state)
{
    struct replay r = replay_start();
    for (uint32_t i = 1; i <= 4; i++)
        replay_add(&r, i, "big.example", "");
    replay_add(&r, 11, "small.example", "");
    replay_add(&r, 21, "other.example", "");
    static const uint32_t order[] = {1, 11, 21, 2, 3, 4};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        assert_int_equal(replay_take(&r), order[i]);
    replay_end(&r);
}

static void items_leave_from_anywhere(void **state)
{
    struct replay r = replay_start();
    uint32_t items[7];
    for (uint32_t i = 1; i <= 6; i++)
        items[i] = replay_add(&r, i, "bbb.example", "bulk@aaa.example");
    sched_remove(r.sched, items[1], r.now);
    sched_remove(r.sched, items[4], r.now);
    sched_hold(r.sched, items[6], r.now);
    assert_order(&r, (uint32_t[]){2, 3, 5}, 3);
    replay_end(&r);
}

static void recipients_of_a_message_go_along(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    for (uint32_t i = 1; i <= 40; i++)
        replay_add(&r, i, "bbb.example", "list@aaa.example");
    replay_add(&r, 99, "bbb.example", "anna@aaa.example");
    assert_int_equal(replay_take_item(&r, &item), 1);
    for (uint32_t i = 2; i <= 40; i++) {
        uint32_t along = sched_peek_along(r.sched, item);
        assert_int_equal(number_of(r.sched, along), i);
        sched_take_along(r.sched, along);
    }
    assert_int_equal(sched_peek_along(r.sched, item), 0);
    /* They took one place in the window of four. */
    assert_int_equal(replay_take(&r), 99);
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(senders_take_turns),
                                       cmocka_unit_test(destinations_take_turns),
                                       cmocka_unit_test(items_leave_from_anywhere),
                                       cmocka_unit_test(recipients_of_a_message_go_along)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
