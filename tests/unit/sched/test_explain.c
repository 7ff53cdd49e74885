#include "replay.h"

#include <stdio.h>

static struct sched_explanation explain(struct replay *r, uint32_t item)
{
    struct sched_explanation e;
    sched_explain(r->sched, item, &e);
    return e;
}

static void every_state_says_what_it_waits_for(void **state)
{
    struct replay r = replay_start();
    uint32_t items[6], taken;
    for (uint32_t i = 1; i <= 5; i++)
        items[i] = replay_add(&r, i, "bbb.example", "");
    assert_int_equal(explain(&r, items[5]).wait, SCHED_WAIT_TURN);
    for (int i = 0; i < 4; i++)
        replay_take_item(&r, &taken);
    assert_int_equal(explain(&r, items[1]).wait, SCHED_WAIT_OUTCOME);
    assert_int_equal(explain(&r, items[5]).wait, SCHED_WAIT_WINDOW);

    replay_outcome(&r, items[1], SCHED_RESULT_RECIPIENT);
    struct sched_explanation e = explain(&r, items[1]);
    assert_int_equal(e.wait, SCHED_WAIT_PAUSE);
    assert_int_equal(e.until_ms, r.due);
    assert_int_equal(e.attempts, 1);

    replay_outcome(&r, items[2], SCHED_RESULT_DESTINATION);
    replay_outcome(&r, items[3], SCHED_RESULT_DESTINATION);
    e = explain(&r, items[5]);
    assert_int_equal(e.wait, SCHED_WAIT_DESTINATION);
    assert_true(e.until_ms > r.now);
    assert_span(e.why, "connection refused");
    assert_span(e.destination, "bbb.example");

    sched_hold(r.sched, items[5], r.now);
    assert_int_equal(explain(&r, items[5]).wait, SCHED_WAIT_RELEASE);
    replay_end(&r);
}

static void items_remember_their_own_trouble(void **state)
{
    struct replay r = replay_start();
    uint32_t items[3], taken;
    for (uint32_t i = 0; i < 3; i++)
        items[i] = replay_add(&r, i + 1, "bbb.example", "");
    for (uint32_t i = 0; i < 3; i++)
        replay_take_item(&r, &taken);
    sched_outcome(r.sched, items[0], SCHED_RESULT_RECIPIENT, SPAN("over quota"), r.now, &r.due);
    sched_outcome(r.sched, items[1], SCHED_RESULT_RECIPIENT, SPAN("over quota"), r.now, &r.due);
    sched_outcome(r.sched, items[2], SCHED_RESULT_REFUSED, SPAN("no such user"), r.now, &r.due);
    assert_span(explain(&r, items[0]).why, "over quota");
    assert_span(explain(&r, items[2]).why, "no such user");
    sched_remove(r.sched, items[0], r.now);
    assert_span(explain(&r, items[1]).why, "over quota");
    sched_release(r.sched, items[2], r.now, r.now + DAY, r.now);
    assert_span(explain(&r, items[2]).why, "");
    replay_end(&r);
}

/* A station that never says the same twice gets only so much memory. */
static void reasons_are_bounded(void **state)
{
    struct replay r = replay_start();
    char why[32];
    for (int i = 0; i < 12000; i++) {
        uint32_t item;
        replay_add(&r, 1, "bbb.example", "");
        assert_int_not_equal(replay_take_item(&r, &item), 0);
        struct span text = span_of(why, (size_t)snprintf(why, sizeof(why), "session %d", i));
        sched_outcome(r.sched, item, SCHED_RESULT_RECIPIENT, text, r.now, &r.due);
        struct sched_explanation e = explain(&r, item);
        assert_int_equal(e.why.size, i < 10000 ? text.size : 0);
    }
    replay_end(&r);
}

/* Texts go with their last item: over the years there are more of them than fit at a time. */
static void reasons_that_are_over_make_room(void **state)
{
    struct replay r = replay_start();
    char why[32];
    for (int i = 0; i < 12000; i++) {
        uint32_t items[2];
        struct span text = span_of(why, (size_t)snprintf(why, sizeof(why), "session %d", i));
        for (int k = 0; k < 2; k++) { /* who says the same shares it */
            replay_add(&r, 1, "bbb.example", "");
            assert_int_not_equal(replay_take_item(&r, &items[k]), 0);
            sched_outcome(r.sched, items[k], SCHED_RESULT_RECIPIENT, text, r.now, &r.due);
        }
        sched_remove(r.sched, items[0], r.now);
        assert_true(span_equal(explain(&r, items[1]).why, text));
        sched_remove(r.sched, items[1], r.now);
    }
    replay_end(&r);
}

/* A station's words have an end, of the item as of its destination. */
static void a_long_reason_is_cut(void **state)
{
    static char words[10 * SCHED_WHY_MAX];
    struct replay r = replay_start();
    struct sched_destination_info info;
    uint32_t item;
    memset(words, 'x', sizeof(words));
    replay_add(&r, 1, "bbb.example", "");
    assert_int_equal(replay_take_item(&r, &item), 1);
    sched_outcome(r.sched, item, SCHED_RESULT_DESTINATION, span_of(words, sizeof(words)), r.now,
                  &r.due);
    assert_int_equal(explain(&r, item).why.size, SCHED_WHY_MAX);
    assert_true(sched_destination(r.sched, SPAN("bbb.example"), 0, &info));
    assert_int_equal(info.why.size, SCHED_WHY_MAX);
    replay_end(&r);
}

static void counts_add_up(void **state)
{
    struct replay r = replay_start();
    struct sched_counters c;
    uint32_t first = replay_add(&r, 1, "a.example", "");
    replay_add(&r, 2, "a.example", "");
    replay_add(&r, 3, "b.example", "");
    sched_hold(r.sched, first, r.now);
    replay_take(&r);
    sched_count(r.sched, &c);
    assert_int_equal(c.counts[SCHED_HELD], 1);
    assert_int_equal(c.counts[SCHED_ACTIVE], 1);
    assert_int_equal(c.counts[SCHED_READY], 1);
    assert_int_equal(c.counts[SCHED_PAUSED], 0);
    assert_int_equal(c.destinations, 2);
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_state_says_what_it_waits_for),
                                       cmocka_unit_test(items_remember_their_own_trouble),
                                       cmocka_unit_test(reasons_are_bounded),
                                       cmocka_unit_test(reasons_that_are_over_make_room),
                                       cmocka_unit_test(a_long_reason_is_cut),
                                       cmocka_unit_test(counts_add_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
