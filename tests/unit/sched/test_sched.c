#include "replay.h"

static void failed_items_come_back_later_and_later(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    int64_t least = 0;
    replay_add(&r, 1, "bbb.example", "");
    for (int i = 0; i < 8; i++) {
        assert_int_equal(replay_take_item(&r, &item), 1);
        assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
        assert_true(r.due - r.now >= least);
        assert_true(r.due - r.now <= 4 * HOUR);
        assert_int_equal(sched_next_ms(r.sched, ~0u), r.due);
        least = (r.due - r.now) / 4 * 3;
        r.now = r.due - 1;
        assert_int_equal(replay_take(&r), 0);
        r.now++;
    }
    replay_end(&r);
}

static void expires_only_after_an_attempt_past_its_deadline(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    replay_add(&r, 1, "bbb.example", "");
    r.now += 3 * DAY; /* nobody could attempt it */
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
    r.now += 2 * DAY; /* past the deadline, and still it is attempted first */
    assert_int_equal(replay_expired(&r), 0);
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_EXPIRED);
    assert_int_equal(replay_take(&r), 0);
    assert_int_equal(sched_next_ms(r.sched, ~0u), INT64_MAX);
    sched_release(r.sched, item, r.now, r.now + 4 * DAY, r.now);
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_DONE), SCHED_VERDICT_GONE);
    replay_end(&r);
}

/* One probe fails past the deadline of all that wait behind the destination's pause. */
static void destinations_failure_gives_up_what_is_overdue(void **state)
{
    struct replay r = replay_start();
    uint32_t item, count = 0;
    for (uint32_t i = 1; i <= 100; i++)
        replay_add(&r, i, "dead.example", i % 3 ? "a@x" : "b@x");
    r.now += 5 * DAY;
    replay_add(&r, 999, "dead.example", "a@x"); /* young */
    for (int i = 0; i < 2; i++) {
        replay_take_item(&r, &item);
        assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_DESTINATION), SCHED_VERDICT_EXPIRED);
    }
    while ((item = replay_expired(&r))) {
        assert_int_not_equal(number_of(r.sched, item), 999);
        count++;
    }
    assert_int_equal(count, 98);
    struct sched_counters c;
    sched_count(r.sched, &c);
    assert_int_equal(c.counts[SCHED_READY], 1);
    assert_int_equal(c.counts[SCHED_HELD], 100);
    replay_end(&r);
}

static void lost_jobs_come_back_soon_and_count_as_nothing(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    struct sched_explanation e;
    replay_add(&r, 1, "bbb.example", "");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(replay_take_item(&r, &item), 1);
        assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_LOST), SCHED_VERDICT_RETRY);
        assert_int_equal(r.due - r.now, 2 * SECOND);
        r.now = r.due;
    }
    sched_explain(r.sched, item, &e);
    assert_int_equal(e.attempts, 0);
    replay_end(&r);
}

static void hold_and_release_in_every_state(void **state)
{
    struct replay r = replay_start();
    uint32_t ready = replay_add(&r, 1, "a.example", ""), paused, active;
    sched_hold(r.sched, ready, r.now);
    sched_hold(r.sched, ready, r.now);
    assert_int_equal(replay_take(&r), 0);
    sched_release(r.sched, ready, r.now, r.now + DAY, r.now);
    sched_release(r.sched, ready, r.now, r.now + DAY, r.now);

    assert_int_equal(replay_take_item(&r, &active), 1);
    sched_hold(r.sched, active, r.now);
    assert_int_equal(replay_outcome(&r, active, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_HELD);
    sched_release(r.sched, active, r.now, r.now + DAY, r.now);

    assert_int_equal(replay_take_item(&r, &paused), 1);
    assert_int_equal(replay_outcome(&r, paused, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
    sched_hold(r.sched, paused, r.now);
    r.now += DAY;
    assert_int_equal(replay_take(&r), 0);
    sched_release(r.sched, paused, r.now + HOUR, r.now + DAY, r.now);
    assert_int_equal(sched_next_ms(r.sched, ~0u), r.now + HOUR);
    r.now += HOUR - 1;
    assert_int_equal(replay_take(&r), 0);
    r.now++;
    assert_int_equal(replay_take(&r), 1);
    sched_remove(r.sched, paused, r.now);

    /* A hold that comes too late for a delivery. */
    replay_add(&r, 2, "a.example", "");
    assert_int_equal(replay_take_item(&r, &active), 2);
    sched_hold(r.sched, active, r.now);
    assert_int_equal(replay_outcome(&r, active, SCHED_RESULT_DONE), SCHED_VERDICT_GONE);
    replay_end(&r);
}

static uint32_t add_with(struct replay *r, uint32_t owner, int64_t deadline_ms, unsigned attempts)
{
    struct sched_entry entry = {.owner = owner_of(owner),
                                .destination = SPAN("bbb.example"),
                                .deadline_ms = deadline_ms,
                                .attempts = attempts};
    uint32_t item = 0;
    assert_int_equal(sched_add(r->sched, &entry, r->now, &item), 0);
    return item;
}

/* Deadlines are kept in whole seconds: rounded so that none comes before its time. */
static void nothing_is_given_up_early(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    add_with(&r, 1, r.now + 10900, 0);
    r.now += 10899;
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
    r.now = r.due;
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_EXPIRED);
    replay_end(&r);
}

/* The monotonic clock begins at the boot: what was accepted long before then has a deadline before
 * its beginning. */
static void a_deadline_may_lie_before_the_clock_began(void **state)
{
    static const int64_t deadlines[] = {-5 * SECOND, -DAY, INT64_MIN / 4, 0};
    for (size_t i = 0; i < ARRAY_SIZE(deadlines); i++) {
        struct replay r = replay_start();
        uint32_t item = add_with(&r, 1, deadlines[i], 0);
        assert_int_equal(replay_take(&r), 1);
        assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_EXPIRED);
        replay_end(&r);
    }
}

/* Failures are counted in 16 bits: more of them are no fewer. */
static void attempts_have_an_end(void **state)
{
    struct replay r = replay_start();
    struct sched_explanation e;
    uint32_t item = add_with(&r, 1, r.now + DAY, UINT16_MAX + 100);
    assert_int_equal(replay_take(&r), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
    assert_in_range(r.due - r.now, 3 * HOUR,
                    4 * HOUR); /* the longest pause, as long as it failed */
    sched_explain(r.sched, item, &e);
    assert_int_equal(e.attempts, UINT16_MAX);
    replay_end(&r);
}

/* Names are known by hashes with the first seed: a reload must not lose all destinations. */
static void a_reload_keeps_destinations(void **state)
{
    struct replay r = replay_start();
    struct sched_destination_info info;
    struct sched_config config = replay_config();
    struct sched_counters c;
    uint32_t item;
    replay_add(&r, 1, "bbb.example", "");
    replay_take_item(&r, &item);
    replay_outcome(&r, item, SCHED_RESULT_DESTINATION);
    config.seed = 4711;
    config.retry.first_ms = MINUTE;
    sched_reconfigure(r.sched, &config);
    assert_true(sched_destination(r.sched, SPAN("bbb.example"), 0, &info));
    assert_int_equal(info.failures, 1);
    replay_add(&r, 2, "bbb.example", "");
    sched_count(r.sched, &c);
    assert_int_equal(c.destinations, 1);
    assert_int_equal(replay_take_item(&r, &item), 2);
    replay_outcome(&r, item, SCHED_RESULT_RECIPIENT);
    assert_true(r.due - r.now <= MINUTE); /* by the new policy */
    replay_end(&r);
}

/* An administrator who changes his mind before the attempt is over. */
static void a_release_takes_back_a_hold_of_what_is_under_way(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    replay_add(&r, 1, "a.example", "");
    assert_int_equal(replay_take_item(&r, &item), 1);
    sched_hold(r.sched, item, r.now);
    sched_release(r.sched, item, r.now, r.now + DAY, r.now);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
    replay_end(&r);
}

/* Gives up items 3 to `count` with their destination; 1 and 2 made the attempts. */
static void give_up(struct replay *r, uint32_t *items, uint32_t count)
{
    uint32_t item;
    for (uint32_t i = 1; i <= count; i++)
        items[i] = replay_add(r, i, "dead.example", "");
    r->now += 5 * DAY;
    for (int i = 0; i < 2; i++) {
        replay_take_item(r, &item);
        assert_int_equal(replay_outcome(r, item, SCHED_RESULT_DESTINATION), SCHED_VERDICT_EXPIRED);
    }
}

/* Each is told once with the destination's trouble, but for those that went or were held before
 * anybody asked. */
static void who_leaves_the_given_up_is_not_told_of(void **state)
{
    enum { COUNT = 12 };
    static const uint32_t leaving[] = {3, 7, 8, COUNT};
    struct replay r = replay_start();
    bool told[COUNT + 1] = {false};
    uint32_t items[COUNT + 1], item;
    struct sched_explanation e;

    give_up(&r, items, COUNT);
    for (size_t i = 0; i < ARRAY_SIZE(leaving); i++) {
        if (i % 2)
            sched_remove(r.sched, items[leaving[i]], r.now);
        else
            sched_hold(r.sched, items[leaving[i]], r.now);
        told[leaving[i]] = true;
    }
    while ((item = replay_expired(&r))) {
        uint32_t number = number_of(r.sched, item);
        assert_in_range(number, 3, COUNT);
        assert_false(told[number]);
        told[number] = true;
        sched_explain(r.sched, item, &e);
        assert_int_equal(e.state, SCHED_HELD);
        assert_span(e.why, "connection refused");
    }
    for (uint32_t i = 3; i <= COUNT; i++)
        assert_true(told[i]);
    replay_end(&r);
}

/* A refusal was an attempt. */
static void refused_items_are_held(void **state)
{
    static const struct {
        enum sched_result result;
        unsigned attempts;
    } cases[] = {{SCHED_RESULT_REFUSED, 1}, {SCHED_RESULT_UNFIT, 1}, {SCHED_RESULT_KEPT, 0}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct replay r = replay_start();
        struct sched_explanation e;
        uint32_t item;
        replay_add(&r, 1, "a.example", "");
        replay_take_item(&r, &item);
        assert_int_equal(replay_outcome(&r, item, cases[i].result), SCHED_VERDICT_HELD);
        r.now += DAY;
        assert_int_equal(replay_take(&r), 0);
        sched_explain(r.sched, item, &e);
        assert_int_equal(e.attempts, cases[i].attempts);
        replay_end(&r);
    }
}

static void retry_now_ends_pauses(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    replay_add(&r, 1, "a.example", "");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(replay_take_item(&r, &item), 1);
        replay_outcome(&r, item, SCHED_RESULT_DESTINATION);
        assert_int_equal(replay_take(&r), 0);
        sched_retry_now(r.sched, item, r.now);
    }
    assert_int_equal(replay_take(&r), 1);
    replay_end(&r);
}

static void recovered_items_keep_their_times(void **state)
{
    struct replay r = replay_start();
    struct sched_entry entry = {.owner = owner_of(1),
                                .destination = SPAN("a.example"),
                                .due_ms = r.now + HOUR,
                                .deadline_ms = r.now + 2 * HOUR,
                                .attempts = 6};
    uint32_t item;
    assert_int_equal(sched_add(r.sched, &entry, r.now, &item), 0);
    entry.owner = owner_of(2);
    entry.held = true;
    assert_int_equal(sched_add(r.sched, &entry, r.now, &item), 0);
    assert_int_equal(replay_take(&r), 0);
    r.now += HOUR;
    assert_int_equal(replay_take_item(&r, &item), 1);
    assert_int_equal(replay_outcome(&r, item, SCHED_RESULT_RECIPIENT), SCHED_VERDICT_RETRY);
    assert_true(r.due - r.now >= 3 * HOUR); /* the seventh failure */
    replay_end(&r);
}

/* A random life against a count of items: nothing is lost, nothing is taken twice. */
static void nothing_is_lost_in_a_long_life(void **state)
{
    enum { ITEMS = 300, STEPS = 60000 };
    static const char *const names[] = {"a.example", "b.example", "c.example"};
    struct replay r = replay_start();
    uint32_t active[ITEMS], random = 9, live = 0, item;
    size_t active_count = 0;
    struct sched_counters c;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t dice = (random >> 12) % 100;
        if (dice < 30 && live < ITEMS) {
            replay_add(&r, 1 + dice, names[dice % 3], names[dice % 2]);
            live++;
        } else if (dice < 60 && (item = sched_take(r.sched, ~0u, r.now))) {
            active[active_count++] = item;
        } else if (dice < 95 && active_count) {
            item = active[--active_count];
            static const enum sched_result results[] = {SCHED_RESULT_DONE, SCHED_RESULT_RECIPIENT,
                                                        SCHED_RESULT_DESTINATION, SCHED_RESULT_LOST,
                                                        SCHED_RESULT_REFUSED};
            static const struct span hosts[] = {SPAN(""), SPAN("mx1"), SPAN("mx2")};
            sched_group(r.sched, item, hosts[(random >> 8) % 3]);
            enum sched_verdict v = replay_outcome(&r, item, results[dice % 5]);
            if (v == SCHED_VERDICT_GONE) {
                live--;
            } else if (v != SCHED_VERDICT_RETRY) {
                sched_remove(r.sched, item, r.now);
                live--;
            }
            while ((item = replay_expired(&r))) {
                sched_remove(r.sched, item, r.now);
                live--;
            }
        } else {
            r.now += 10 * MINUTE;
        }
        sched_count(r.sched, &c);
        assert_int_equal(c.counts[SCHED_ACTIVE], active_count);
        assert_int_equal(c.counts[SCHED_ACTIVE] + c.counts[SCHED_PAUSED] + c.counts[SCHED_READY] +
                             c.counts[SCHED_HELD],
                         live);
    }
    replay_end(&r);
}

static void a_million_items(void **state)
{
    enum { COUNT = 1000000 };
    struct replay r = replay_start();
    struct sched_entry entry = {.deadline_ms = r.now + 4 * DAY};
    uint32_t item, taken = 0;
    char name[] = "d0000.example";
    for (uint32_t i = 0; i < COUNT; i++) {
        name[1] = (char)('0' + i % 10);
        name[2] = (char)('0' + i / 10 % 10);
        entry.owner = owner_of(i + 1);
        entry.destination = span_from_cstr(name);
        entry.sender = hash_of(name);
        entry.due_ms = r.now + (int64_t)(i * 2654435761u % HOUR);
        assert_int_equal(sched_add(r.sched, &entry, r.now, &item), 0);
    }
    r.now += HOUR;
    while ((item = sched_take(r.sched, ~0u, r.now))) {
        replay_outcome(&r, item, SCHED_RESULT_DONE);
        taken++;
    }
    assert_int_equal(taken, COUNT);
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_items_come_back_later_and_later),
        cmocka_unit_test(expires_only_after_an_attempt_past_its_deadline),
        cmocka_unit_test(destinations_failure_gives_up_what_is_overdue),
        cmocka_unit_test(lost_jobs_come_back_soon_and_count_as_nothing),
        cmocka_unit_test(hold_and_release_in_every_state),
        cmocka_unit_test(nothing_is_given_up_early),
        cmocka_unit_test(a_deadline_may_lie_before_the_clock_began),
        cmocka_unit_test(attempts_have_an_end),
        cmocka_unit_test(a_reload_keeps_destinations),
        cmocka_unit_test(a_release_takes_back_a_hold_of_what_is_under_way),
        cmocka_unit_test(who_leaves_the_given_up_is_not_told_of),
        cmocka_unit_test(refused_items_are_held),
        cmocka_unit_test(retry_now_ends_pauses),
        cmocka_unit_test(recovered_items_keep_their_times),
        cmocka_unit_test(nothing_is_lost_in_a_long_life),
        cmocka_unit_test(a_million_items)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
