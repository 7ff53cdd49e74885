/* Trouble of our own, which stops no site: it goes through what is ready a few times a minute. */
#include "replay.h"

#include <stdio.h>

enum { ROW = 64, DUE = 10000, OTHER_LANE = 1 };

static uint32_t add_in(struct replay *r, unsigned lane, uint32_t number)
{
    char name[40];
    uint32_t item = 0;

    snprintf(name, sizeof(name), "d%u.example", number % 100);
    struct sched_entry entry = {.owner = owner_of(number),
                                .destination = span_from_cstr(name),
                                .lane = lane,
                                .sender = number,
                                .deadline_ms = r->now + 4 * DAY};
    assert_int_equal(sched_add(r->sched, &entry, r->now, &item), 0);
    return item;
}

static uint32_t take(struct replay *r)
{
    return sched_take(r->sched, ~0u, r->now);
}

/* All that may go now; how many these were. */
static uint32_t fail_all(struct replay *r, enum sched_result result)
{
    uint32_t count = 0, item;

    for (; (item = take(r)); count++)
        replay_outcome(r, item, result);
    return count;
}

/* Due items, and so much trouble that the brake is on. */
static struct replay braked(void)
{
    struct replay r = replay_start();

    for (uint32_t i = 0; i < DUE; i++)
        add_in(&r, 0, i);
    assert_int_equal(fail_all(&r, SCHED_RESULT_OURS), ROW);
    return r;
}

static int64_t next_of(const struct replay *r)
{
    return sched_next_ms(r->sched, ~0u);
}

static uint32_t ready(const struct replay *r)
{
    struct sched_counters counters;

    sched_count(r->sched, &counters);
    return counters.counts[SCHED_READY];
}

static void few_attempts_a_minute(void **state)
{
    struct replay r = braked();
    int64_t start = r.now;
    uint32_t attempts = 0, wakes = 0, item;

    for (; next_of(&r) < start + HOUR; wakes++) {
        assert_true(next_of(&r) > r.now);
        r.now = next_of(&r);
        attempts += fail_all(&r, SCHED_RESULT_OURS);
        assert_true(attempts <= 4 + (uint64_t)(r.now - start) / MINUTE);
    }
    assert_in_range(attempts, 55, 64);
    assert_true(wakes < 3 * 64); /* also those that come due again, a few each time */
    r.now = next_of(&r);
    assert_true((item = take(&r)));
    assert_int_equal(take(&r), 0);
    replay_outcome(&r, item, SCHED_RESULT_DONE);
    assert_int_equal(next_of(&r), INT64_MIN);
    assert_true(ready(&r) > DUE - 200);
    fail_all(&r, SCHED_RESULT_DONE);
    assert_int_equal(ready(&r), 0);
    replay_end(&r);
}

static void any_other_end_lets_all_go(void **state)
{
    static const enum sched_result ends[] = {SCHED_RESULT_DONE, SCHED_RESULT_RECIPIENT,
                                             SCHED_RESULT_DESTINATION, SCHED_RESULT_REFUSED,
                                             SCHED_RESULT_UNFIT};

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        struct replay r = braked();
        r.now = next_of(&r);
        replay_outcome(&r, take(&r), ends[i]);
        assert_int_equal(next_of(&r), INT64_MIN);
        assert_int_equal(fail_all(&r, SCHED_RESULT_OURS), ROW); /* and it counts anew */
        replay_end(&r);
    }
}

/* Neither does one that went well in between: it is no row. */
static void some_trouble_brakes_nobody(void **state)
{
    struct replay r = replay_start();
    uint32_t item, count = 0;

    for (uint32_t i = 0; i < DUE; i++)
        add_in(&r, 0, i);
    for (; (item = take(&r)); count++)
        replay_outcome(&r, item, count % ROW ? SCHED_RESULT_OURS : SCHED_RESULT_DONE);
    assert_int_equal(count, DUE);
    replay_end(&r);
}

/* What was under way doesn't make the pause longer, and what was lost says nothing. */
static void the_pause_doubles_with_each_that_went(void **state)
{
    static const int64_t pauses[] = {5, 10, 20, 40, 60, 60};
    struct replay r = replay_start();
    uint32_t items[2 * ROW], item;

    for (uint32_t i = 0; i < DUE; i++)
        add_in(&r, 0, i);
    for (uint32_t i = 0; i < ARRAY_SIZE(items); i++)
        assert_true((items[i] = take(&r)));
    for (uint32_t i = 0; i < ARRAY_SIZE(items); i++)
        replay_outcome(&r, items[i], SCHED_RESULT_OURS);
    for (size_t i = 0; i < ARRAY_SIZE(pauses); i++) {
        r.now += pauses[i] * SECOND - 1;
        assert_int_equal(take(&r), 0);
        r.now++;
        assert_true((item = take(&r)));
        assert_int_equal(take(&r), 0);
        if (i % 2) /* else it hangs, and the next goes all the same */
            replay_outcome(&r, item, SCHED_RESULT_LOST);
    }
    replay_end(&r);
}

static void another_lane_goes_on(void **state)
{
    struct replay r = braked();
    uint32_t item = add_in(&r, OTHER_LANE, 1);

    assert_int_equal(next_of(&r), INT64_MIN);
    assert_int_equal(take(&r), item);
    replay_outcome(&r, item, SCHED_RESULT_DONE);
    assert_int_equal(take(&r), 0); /* nor is this one better for it */
    assert_true(next_of(&r) > r.now);
    replay_end(&r);
}

static void it_is_told_why(void **state)
{
    struct replay r = braked();
    struct sched_explanation e;
    uint32_t item = add_in(&r, 0, 1), probe;

    sched_explain(r.sched, item, &e);
    assert_int_equal(e.wait, SCHED_WAIT_OURS);
    assert_int_equal(e.until_ms, next_of(&r));
    assert_span(e.why, "connection refused");
    r.now = next_of(&r);
    probe = take(&r);
    replay_outcome(&r, probe, SCHED_RESULT_DONE);
    sched_explain(r.sched, item, &e);
    assert_int_equal(e.wait, SCHED_WAIT_TURN);
    replay_end(&r);
}

/* An administrator has perhaps just mended it. */
static void one_goes_when_asked_for(void **state)
{
    struct replay r = braked();
    uint32_t item = add_in(&r, 0, 1);

    sched_retry_now(r.sched, item, r.now);
    assert_true(next_of(&r) <= r.now);
    assert_int_equal(fail_all(&r, SCHED_RESULT_OURS), 1);
    assert_int_equal(next_of(&r), r.now + 10 * SECOND);
    replay_end(&r);
}

/* One job is one attempt, however many go along. */
static void those_that_go_along_are_no_row(void **state)
{
    struct replay r = replay_start();
    uint32_t first, along, items[2 * ROW], count = 0;

    for (uint32_t i = 0; i < 2 * ROW; i++)
        replay_add(&r, i + 1, "a.example", "bulk");
    first = take(&r);
    while ((along = sched_peek_along(r.sched, first))) {
        sched_take_along(r.sched, along);
        items[count++] = along;
    }
    assert_int_equal(count, 2 * ROW - 1);
    while (count)
        replay_outcome(&r, items[--count], SCHED_RESULT_OURS);
    replay_outcome(&r, first, SCHED_RESULT_OURS);
    along = replay_add(&r, 1, "b.example", "");
    assert_int_equal(take(&r), along);
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_attempts_a_minute),
        cmocka_unit_test(any_other_end_lets_all_go),
        cmocka_unit_test(some_trouble_brakes_nobody),
        cmocka_unit_test(the_pause_doubles_with_each_that_went),
        cmocka_unit_test(another_lane_goes_on),
        cmocka_unit_test(it_is_told_why),
        cmocka_unit_test(one_goes_when_asked_for),
        cmocka_unit_test(those_that_go_along_are_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
