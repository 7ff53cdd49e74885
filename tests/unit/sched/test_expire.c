#include "replay.h"

enum { COUNT = 3000 };

/* All past their deadlines, and their destination has just failed: the first two made the attempts.
 */
static void let_fail(struct replay *r)
{
    uint32_t item;

    for (uint32_t i = 1; i <= COUNT; i++)
        replay_add(r, i, "dead.example", i % 2 ? "a@x" : "b@x");
    r->now += 5 * DAY;
    for (int i = 0; i < 2; i++) {
        replay_take_item(r, &item);
        assert_int_equal(replay_outcome(r, item, SCHED_RESULT_DESTINATION), SCHED_VERDICT_EXPIRED);
    }
}

static uint32_t count_of(const struct replay *r, enum sched_state state)
{
    struct sched_counters c;
    sched_count(r->sched, &c);
    return c.counts[state];
}

/* The failure itself gives up nobody else, and each call does no more than its looks allow. */
static void they_are_given_up_a_few_at_a_time(void **state)
{
    struct replay r = replay_start();
    bool seen[COUNT + 1] = {false};
    uint32_t item, count = 0, calls = 0;

    let_fail(&r);
    assert_int_equal(count_of(&r, SCHED_HELD), 2);
    for (; sched_may_have_expired(r.sched); calls++) {
        uint32_t looks = 10, in_this = 0;
        while ((item = sched_take_expired(r.sched, &looks))) {
            uint32_t number = number_of(r.sched, item);
            assert_false(seen[number]);
            seen[number] = true;
            in_this++;
        }
        assert_true(in_this <= 10);
        count += in_this;
    }
    assert_int_equal(count, COUNT - 2);
    assert_int_equal(count_of(&r, SCHED_HELD), COUNT);
    assert_true(calls >= COUNT / 10);
    replay_end(&r);
}

/* The destination is there again before they were asked for: nobody is lost, nobody given up. */
static void who_was_not_asked_for_goes_on(void **state)
{
    struct replay r = replay_start();
    uint32_t item, looks = 100, given_up = 0, delivered = 0;

    let_fail(&r);
    while ((item = sched_take_expired(r.sched, &looks)))
        given_up++;
    assert_in_range(given_up, 1, 100);
    r.now += 10 * MINUTE;
    while (replay_take_item(&r, &item)) {
        assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_DONE), SCHED_VERDICT_GONE);
        delivered++;
        assert_int_equal(replay_expired(&r), 0);
    }
    assert_int_equal(given_up + delivered + 2, COUNT);
    replay_end(&r);
}

/* The next probe fails as well: the hand goes on, with those it has passed among them. */
static void a_second_failure_gives_up_the_rest(void **state)
{
    struct replay r = replay_start();
    uint32_t item, looks = COUNT / 2, given_up = 0;

    let_fail(&r);
    while ((item = sched_take_expired(r.sched, &looks)))
        given_up++;
    uint32_t first = replay_add(&r, COUNT + 1, "dead.example", "a@x"); /* young */
    r.now += 5 * DAY;
    assert_int_equal(count_of(&r, SCHED_READY), COUNT - 2 - given_up + 1);
    replay_take_item(&r, &item);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_DESTINATION), SCHED_VERDICT_EXPIRED);
    while ((item = replay_expired(&r)))
        given_up++;
    assert_int_equal(given_up + 2 + 1, COUNT + 1);
    assert_int_equal(count_of(&r, SCHED_READY), 0);
    assert_ptr_equal(sched_owner(r.sched, first), owner_of(COUNT + 1));
    replay_end(&r);
}

/* However often it fails: it is known that nothing there is overdue. */
static void young_mail_sends_no_hand_round(void **state)
{
    struct replay r = replay_start();
    uint32_t item;

    for (uint32_t i = 1; i <= 100; i++)
        replay_add(&r, i, "dead.example", "a@x");
    for (int i = 0; i < 5; i++) {
        assert_int_not_equal(replay_take_item(&r, &item), 0);
        replay_outcome(&r, item, SCHED_RESULT_DESTINATION);
        assert_false(sched_may_have_expired(r.sched));
        r.now += 4 * HOUR;
    }
    replay_end(&r);
}

/* Also what came to the site by way of another one, as its hosts were learnt. */
static void a_domain_takes_its_deadlines_along(void **state)
{
    struct replay r = replay_start();
    uint32_t old, young, given_up = 0;

    for (uint32_t i = 1; i <= 10; i++)
        replay_add(&r, i, "old.example", "a@x");
    r.now += 5 * DAY;
    replay_add(&r, 11, "young.example", "a@x");
    assert_in_range(replay_take_item(&r, &old), 1, 10);
    assert_int_equal(replay_take_item(&r, &young), 11);
    sched_group(r.sched, young, SPAN("mx.host.example"));
    sched_group(r.sched, old, SPAN("mx.host.example"));
    assert_int_equal(replay_outcome(&r, old, SCHED_RESULT_DESTINATION), SCHED_VERDICT_EXPIRED);
    assert_int_equal(replay_outcome(&r, young, SCHED_RESULT_DESTINATION), SCHED_VERDICT_RETRY);
    while (replay_expired(&r))
        given_up++;
    assert_int_equal(given_up, 9);
    replay_end(&r);
}

/* He who is spared is attempted again, and his site is judged all the same. */
static void who_is_spared_is_attempted_again(void **state)
{
    struct replay r = replay_start();
    struct sched_destination_info info;
    uint32_t item;

    replay_add(&r, 1, "dead.example", "a@x");
    r.now += 5 * DAY;
    sched_spare(r.sched, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(replay_take_item(&r, &item), 1);
        assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_DESTINATION), SCHED_VERDICT_RETRY);
        r.now += 5 * HOUR;
    }
    assert_true(sched_destination(r.sched, SPAN("dead.example"), 0, &info));
    assert_int_equal(info.failures, 3);
    sched_spare(r.sched, false);
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_DESTINATION), SCHED_VERDICT_EXPIRED);
    replay_end(&r);
}

/* Of the same message, say; and nobody else goes along. */
static void who_belongs_to_one_goes_along(void **state)
{
    struct replay r = replay_start();
    uint32_t items[10], item, given_up = 0;

    for (uint32_t i = 0; i < 10; i++)
        items[i] = replay_add(&r, i + 1, "dead.example", "a@x");
    r.now += 5 * DAY;
    uint32_t young = replay_add(&r, 11, "dead.example", "a@x");
    assert_false(sched_expire_along(r.sched, items[9]));
    for (int i = 0; i < 2; i++) {
        replay_take_item(&r, &item);
        replay_outcome(&r, item, SCHED_RESULT_DESTINATION);
    }
    assert_true(sched_expire_along(r.sched, items[9]));
    assert_false(sched_expire_along(r.sched, items[9]));
    assert_false(sched_expire_along(r.sched, young));
    while (replay_expired(&r))
        given_up++;
    assert_int_equal(given_up, 7);
    replay_end(&r);
}

/* The hand goes over what isn't in use, too. */
static void who_is_gone_is_not_found(void **state)
{
    struct replay r = replay_start();
    uint32_t items[100], item;

    for (uint32_t i = 0; i < 100; i++)
        items[i] = replay_add(&r, i + 1, "dead.example", "a@x");
    r.now += 5 * DAY;
    for (int i = 0; i < 2; i++) {
        replay_take_item(&r, &item);
        replay_outcome(&r, item, SCHED_RESULT_DESTINATION);
    }
    for (uint32_t i = 0; i < 100; i++)
        sched_remove(r.sched, items[i], r.now);
    assert_int_equal(replay_expired(&r), 0);
    assert_false(sched_may_have_expired(r.sched));
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_are_given_up_a_few_at_a_time),
                                       cmocka_unit_test(who_was_not_asked_for_goes_on),
                                       cmocka_unit_test(a_second_failure_gives_up_the_rest),
                                       cmocka_unit_test(young_mail_sends_no_hand_round),
                                       cmocka_unit_test(a_domain_takes_its_deadlines_along),
                                       cmocka_unit_test(who_is_spared_is_attempted_again),
                                       cmocka_unit_test(who_belongs_to_one_goes_along),
                                       cmocka_unit_test(who_is_gone_is_not_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
