#include "replay.h"

#include <stdio.h>

static struct sched_destination_info info_of(struct replay *r, const char *name)
{
    struct sched_destination_info info = {0};
    if (!sched_destination(r->sched, span_from_cstr(name), 0, &info))
        fail_msg("no destination %s", name);
    return info;
}

static void fill(struct replay *r, const char *destination, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++)
        replay_add(r, i, destination, "");
}

static size_t take_all(struct replay *r, uint32_t *items, size_t max)
{
    size_t n = 0;
    while (n < max && (items[n] = sched_take(r->sched, ~0u, r->now)))
        n++;
    return n;
}

static void window_grows_with_success(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64];
    static const size_t rounds[] = {4, 8, 16, 32, 32};
    fill(&r, "bbb.example", 200);
    for (size_t i = 0; i < ARRAY_SIZE(rounds); i++) {
        size_t n = take_all(&r, items, 64);
        assert_int_equal(n, rounds[i]);
        while (n)
            replay_outcome(&r, items[--n], SCHED_RESULT_DONE);
    }
    replay_end(&r);
}

static void trouble_halves_the_window_then_it_grows_slowly(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64];
    fill(&r, "bbb.example", 400);
    for (int round = 0; round < 3; round++)
        for (size_t n = take_all(&r, items, 64); n;)
            replay_outcome(&r, items[--n], SCHED_RESULT_DONE);
    size_t n = take_all(&r, items, 64);
    assert_int_equal(n, 32);
    replay_outcome(&r, items[--n], SCHED_RESULT_DESTINATION);
    assert_int_equal(info_of(&r, "bbb.example").window, 16);
    assert_int_equal(info_of(&r, "bbb.example").resume_ms, 0);
    for (int i = 0; i < 16; i++)
        replay_outcome(&r, items[--n], SCHED_RESULT_DONE);
    assert_int_equal(info_of(&r, "bbb.example").window, 17);
    assert_int_equal(info_of(&r, "bbb.example").failures, 0);
    replay_end(&r);
}

/* Attempts one item of the destination, which must be able to go. */
static void attempt(struct replay *r, enum sched_result result)
{
    uint32_t item;
    assert_int_not_equal(replay_take_item(r, &item), 0);
    replay_outcome(r, item, result);
}

/* Fails until the destination pauses, and waits for the end of that. How long it was. */
static int64_t pause_once(struct replay *r)
{
    int64_t began = r->now;
    do
        attempt(r, SCHED_RESULT_DESTINATION);
    while (info_of(r, "bbb.example").resume_ms == 0);
    r->now = info_of(r, "bbb.example").resume_ms;
    return r->now - began;
}

/* A success is a new beginning: what fails then is a new trouble, and pauses as the first did. */
static void a_success_shortens_the_next_pause(void **state)
{
    struct replay r = replay_start();
    fill(&r, "bbb.example", 400);
    for (int i = 0; i < 5; i++)
        pause_once(&r);
    assert_true(pause_once(&r) > 40 * MINUTE);
    attempt(&r, SCHED_RESULT_DONE);
    assert_true(pause_once(&r) <= 5 * MINUTE);
    replay_end(&r);
}

/* After a probe back to what any destination begins with, one for each success; only beyond that is
 * it slow. What a round had gathered is lost with the next trouble. */
static void a_window_recovers_quickly_to_its_beginning(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64];
    fill(&r, "bbb.example", 400);
    pause_once(&r);
    for (uint32_t window = 2; window <= 4; window++) {
        attempt(&r, SCHED_RESULT_DONE);
        assert_int_equal(info_of(&r, "bbb.example").window, window);
    }
    for (int i = 0; i < 3; i++)
        attempt(&r, SCHED_RESULT_DONE);
    assert_int_equal(info_of(&r, "bbb.example").window, 4);
    assert_int_equal(take_all(&r, items, 64), 4);
    replay_outcome(&r, items[0], SCHED_RESULT_DESTINATION); /* halves it, and three are forgotten */
    for (int i = 1; i < 4; i++)
        replay_outcome(&r, items[i], SCHED_RESULT_DONE);
    assert_int_equal(info_of(&r, "bbb.example").window, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(info_of(&r, "bbb.example").window, 4);
        attempt(&r, SCHED_RESULT_DONE);
    }
    attempt(&r, SCHED_RESULT_DONE);
    assert_int_equal(info_of(&r, "bbb.example").window, 5);
    replay_end(&r);
}

static void a_recipients_trouble_is_not_the_destinations(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64];
    fill(&r, "bbb.example", 100);
    for (int round = 0; round < 3; round++)
        for (size_t n = take_all(&r, items, 64); n;)
            assert_int_equal(replay_outcome(&r, items[--n], SCHED_RESULT_RECIPIENT),
                             SCHED_VERDICT_RETRY);
    assert_int_equal(info_of(&r, "bbb.example").window, 32);
    assert_int_equal(info_of(&r, "bbb.example").counts[SCHED_PAUSED], 28);
    replay_end(&r);
}

/* Brings the destination to its pause: a window of four, halved, and two failures. */
static void kill_destination(struct replay *r)
{
    uint32_t items[64];
    size_t n = take_all(r, items, 64);
    while (n)
        replay_outcome(r, items[--n], SCHED_RESULT_DESTINATION);
}

static void dead_destination_is_probed_with_growing_pauses(void **state)
{
    struct replay r = replay_start();
    fill(&r, "dead.example", 100);
    kill_destination(&r);
    int64_t last_pause = 0;
    for (int i = 0; i < 6; i++) {
        struct sched_destination_info info = info_of(&r, "dead.example");
        assert_true(info.resume_ms > r.now);
        assert_span(info.why, "connection refused");
        assert_true(info.resume_ms - r.now > last_pause);
        last_pause = (info.resume_ms - r.now) / 4 * 3;
        r.now = info.resume_ms - 1;
        assert_int_equal(replay_take(&r), 0);
        r.now++;
        uint32_t probe = 0;
        assert_int_not_equal(replay_take_item(&r, &probe), 0);
        assert_int_equal(replay_take(&r), 0);
        replay_outcome(&r, probe, SCHED_RESULT_DESTINATION);
    }
    /* It comes back: the probe opens the window again. */
    uint32_t probe = 0, items[64];
    r.now = info_of(&r, "dead.example").resume_ms;
    replay_take_item(&r, &probe);
    replay_outcome(&r, probe, SCHED_RESULT_DONE);
    assert_int_equal(take_all(&r, items, 64), 2);
    replay_end(&r);
}

static void dead_destination_slows_no_other(void **state)
{
    struct replay r = replay_start();
    uint32_t item;
    fill(&r, "dead.example", 1000);
    kill_destination(&r);
    for (uint32_t i = 1; i <= 50; i++) {
        replay_add(&r, 5000 + i, "good.example", "");
        assert_int_equal(replay_take_item(&r, &item), 5000 + i);
        replay_outcome(&r, item, SCHED_RESULT_DONE);
    }
    /* Nor does one that never answers: it holds only the places of its own window. */
    fill(&r, "slow.example", 1000);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(replay_take(&r), 0);
    assert_int_equal(replay_take(&r), 0);
    replay_add(&r, 6000, "good.example", "");
    assert_int_equal(replay_take(&r), 6000);
    replay_end(&r);
}

static void unused_destinations_are_forgotten_in_the_end(void **state)
{
    struct replay r = replay_start();
    struct sched_counters counters;
    char name[32];
    for (int i = 0; i < 20000; i++) {
        uint32_t item;
        snprintf(name, sizeof(name), "d%d.example", i);
        replay_add(&r, 1, name, "");
        replay_take_item(&r, &item);
        replay_outcome(&r, item, SCHED_RESULT_DONE);
    }
    sched_count(r.sched, &counters);
    assert_in_range(counters.destinations, 1, 10000);
    replay_end(&r);
}

/* A closed lane holds up its own destinations only; open ones take turns. */
static void lanes_are_taken_from_when_they_are_open(void **state)
{
    struct replay r = replay_start();
    uint32_t item, out;
    for (uint32_t i = 0; i < 6; i++) {
        struct sched_entry entry = {.owner = owner_of(i % 2 + 1),
                                    .destination = SPAN("bbb.example"),
                                    .lane = i % 2,
                                    .deadline_ms = r.now + DAY};
        assert_int_equal(sched_add(r.sched, &entry, r.now, &item), 0);
    }
    assert_int_equal(sched_take(r.sched, 0, r.now), 0);
    assert_int_equal(sched_next_ms(r.sched, 0), INT64_MAX);
    assert_int_equal(sched_take(r.sched, 1u << 5, r.now), 0);
    assert_int_equal(replay_take_item(&r, &out), 1);
    assert_int_equal(replay_take_item(&r, &out), 2);
    for (int i = 0; i < 2; i++) /* the window of each lane is its own */
        assert_int_equal(number_of(r.sched, sched_take(r.sched, 1u << 0, r.now)), 1);
    assert_int_equal(sched_take(r.sched, 1u << 0, r.now), 0);
    assert_int_equal(number_of(r.sched, sched_take(r.sched, 3, r.now)), 2);
    assert_int_equal(sched_take(r.sched, 3, r.now), 0);
    replay_end(&r);
}

static size_t take_round(struct replay *r, uint32_t *items, const char *hosts)
{
    size_t n = take_all(r, items, 64);
    for (size_t i = 0; i < n; i++)
        sched_group(r->sched, items[i], span_from_cstr(hosts));
    return n;
}

/* Domains with the same hosts have one window and one pause. */
static void domains_of_the_same_hosts_are_one_site(void **state)
{
    static const char *const names[] = {"a.example", "b.example", "c.example"};
    struct replay r = replay_start();
    uint32_t items[64];
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < 20; j++)
            replay_add(&r, i * 100 + j + 1, names[i], "");
    size_t n = take_round(&r, items, "mx.host.example");
    assert_int_equal(n, 12); /* nobody knew: four each */
    while (n)
        replay_outcome(&r, items[--n], SCHED_RESULT_DONE);
    uint32_t window = info_of(&r, "a.example").window;
    assert_int_equal(window, info_of(&r, "c.example").window);
    n = take_round(&r, items, "mx.host.example");
    assert_int_equal(n, window);
    uint32_t of[3] = {0};
    for (size_t i = 0; i < n; i++)
        of[(number_of(r.sched, items[i]) - 1) / 100]++;
    for (size_t i = 0; i < 3; i++)
        assert_in_range(of[i], n / 3, n / 3 + 1); /* they take turns */

    while (n)
        replay_outcome(&r, items[--n], SCHED_RESULT_DESTINATION);
    for (size_t i = 0; i < 3; i++)
        assert_true(info_of(&r, names[i]).resume_ms > r.now);
    assert_int_equal(sched_take(r.sched, ~0u, r.now), 0);
    r.now = info_of(&r, "a.example").resume_ms;
    assert_int_equal(take_all(&r, items, 64), 1); /* one probe for all three */
    replay_outcome(&r, items[0], SCHED_RESULT_DONE);
    assert_int_equal(info_of(&r, "b.example").resume_ms, 0);
    replay_end(&r);
}

static void a_domain_that_moves_leaves_its_site(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64];
    fill(&r, "a.example", 40);
    fill(&r, "b.example", 40);
    size_t n = take_round(&r, items, "mx.host.example");
    assert_int_equal(n, 8);
    for (size_t i = 0; i < n; i++) { /* b moves while both are under way */
        struct sched_explanation e;
        sched_explain(r.sched, items[i], &e);
        if (span_equal(e.destination, SPAN("b.example")))
            sched_group(r.sched, items[i], SPAN("mx.other.example"));
    }
    for (size_t i = 0; i < n; i++) {
        struct sched_explanation e;
        sched_explain(r.sched, items[i], &e);
        bool dead = span_equal(e.destination, SPAN("a.example"));
        replay_outcome(&r, items[i], dead ? SCHED_RESULT_DESTINATION : SCHED_RESULT_DONE);
    }
    assert_true(info_of(&r, "a.example").resume_ms > r.now);
    assert_int_equal(info_of(&r, "b.example").resume_ms, 0);
    assert_true(take_all(&r, items, 64) >= 4);
    replay_end(&r);
}

/* A member's own DNS (its name stands for it alone) neither stops the others nor lets them go, and
 * when it works again it is one of them as before. */
static void a_domains_own_trouble_is_not_its_sites(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64];

    fill(&r, "a.example", 1);
    fill(&r, "b.example", 40);
    size_t n = take_round(&r, items, "mx.host.example");
    while (n)
        replay_outcome(&r, items[--n], SCHED_RESULT_DONE);
    uint32_t window = info_of(&r, "a.example").window;
    for (int i = 0; i < 6; i++) {
        replay_add(&r, 100 + i, "a.example", "");
        for (n = take_all(&r, items, 64); n; n--) {
            bool fails = number_of(r.sched, items[n - 1]) >= 100;
            sched_group(r.sched, items[n - 1], fails ? SPAN("?a.example") : SPAN(""));
            replay_outcome(&r, items[n - 1], fails ? SCHED_RESULT_DESTINATION : SCHED_RESULT_DONE);
        }
    }
    assert_true(info_of(&r, "a.example").resume_ms > r.now);
    assert_int_equal(info_of(&r, "b.example").resume_ms, 0);
    assert_true(info_of(&r, "b.example").window >= window);

    r.now = info_of(&r, "a.example").resume_ms;
    replay_add(&r, 200, "a.example", "");
    assert_true(take_round(&r, items, "mx.host.example") > 0);
    assert_int_equal(info_of(&r, "a.example").window, info_of(&r, "b.example").window);
    assert_int_equal(info_of(&r, "a.example").resume_ms, 0);
    replay_end(&r);
}

/* Past its deadline mail for any domain of a dead site is given up with the site's probe. */
static void a_dead_site_expires_all_of_its_domains(void **state)
{
    struct replay r = replay_start();
    uint32_t items[64], item, given_up = 0;
    fill(&r, "a.example", 10);
    fill(&r, "b.example", 10);
    size_t n = take_round(&r, items, "mx.host.example");
    r.now += 5 * DAY;
    while (n)
        replay_outcome(&r, items[--n], SCHED_RESULT_DESTINATION);
    while ((item = replay_expired(&r)))
        given_up++;
    assert_int_equal(given_up, 12); /* those that were not under way themselves */
    replay_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_are_taken_from_when_they_are_open),
        cmocka_unit_test(domains_of_the_same_hosts_are_one_site),
        cmocka_unit_test(a_domain_that_moves_leaves_its_site),
        cmocka_unit_test(a_domains_own_trouble_is_not_its_sites),
        cmocka_unit_test(a_dead_site_expires_all_of_its_domains),
        cmocka_unit_test(window_grows_with_success),
        cmocka_unit_test(trouble_halves_the_window_then_it_grows_slowly),
        cmocka_unit_test(a_success_shortens_the_next_pause),
        cmocka_unit_test(a_window_recovers_quickly_to_its_beginning),
        cmocka_unit_test(a_recipients_trouble_is_not_the_destinations),
        cmocka_unit_test(dead_destination_is_probed_with_growing_pauses),
        cmocka_unit_test(dead_destination_slows_no_other),
        cmocka_unit_test(unused_destinations_are_forgotten_in_the_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
