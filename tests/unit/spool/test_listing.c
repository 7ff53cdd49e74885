/* Listings: all that waits, the oldest first, whatever comes and goes while one is read. */
#include "spool_world.h"

#include <stdlib.h>

enum { MESSAGES = 300 };

/* In an order that is nobody's: not that of the ids, not that of the rows in memory. */
static unsigned shuffled(unsigned i)
{
    return i * 7919 % MESSAGES + 1;
}

static void fill(struct world *w)
{
    world_open(w);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(world_accept(w, shuffled(i), 1, 10), 0);
    world_run(w);
}

/* Goes on until the end; each must be greater than the one before. */
static unsigned count(struct spool_listing *listing)
{
    struct id last = {{0}};
    unsigned n = 0;

    for (struct spool_message *m; (m = spool_listing_next(listing)); n++) {
        assert_true(memcmp(last.bytes, m->id.bytes, ID_BYTES) < 0);
        last = m->id;
    }
    return n;
}

static void the_oldest_comes_first(void **state)
{
    struct world w = world_new();
    struct spool_listing *listing;

    fill(&w);
    assert_int_equal(spool_listing_new(w.spool, &listing), 0);
    assert_int_equal(count(listing), MESSAGES);
    assert_null(spool_listing_next(listing)); /* and stays at its end */
    spool_listing_free(listing);
    world_done(&w);
}

static void nothing_is_a_listing_as_well(void **state)
{
    struct world w = world_new();
    struct spool_listing *listing;

    world_open(&w);
    assert_int_equal(spool_listing_new(w.spool, &listing), 0);
    assert_null(spool_listing_next(listing));
    spool_listing_free(listing);
    spool_listing_free(NULL);
    world_done(&w);
}

/* What is done meanwhile isn't met again, what comes meanwhile isn't yet, the rest exactly once. */
static void it_outlives_what_it_lists(void **state)
{
    struct world w = world_new();
    struct spool_listing *listing;
    unsigned met = 0;

    fill(&w);
    assert_int_equal(spool_listing_new(w.spool, &listing), 0);
    for (; met < 100; met++)
        assert_non_null(spool_listing_next(listing));
    for (unsigned number = 1; number <= MESSAGES; number += 2)
        assert_int_equal(world_status(&w, number, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_accept(&w, MESSAGES + 1, 1, 10), 0);
    world_run(&w);
    assert_int_equal(count(listing), (MESSAGES - met) / 2);
    spool_listing_free(listing);
    world_done(&w);
}

/* What isn't on disk yet was promised to nobody. */
static void what_is_not_sealed_is_not_listed(void **state)
{
    struct world w = world_new();
    struct spool_listing *listing;

    world_open(&w);
    assert_int_equal(world_accept(&w, 1, 1, 10), 0);
    assert_int_equal(spool_listing_new(w.spool, &listing), 0);
    assert_null(spool_listing_next(listing));
    spool_listing_free(listing);
    world_run(&w);
    assert_int_equal(spool_listing_new(w.spool, &listing), 0);
    assert_int_equal(count(listing), 1);
    spool_listing_free(listing);
    world_done(&w);
}

static void note(void *arg, struct spool_message *message)
{
    ++*(unsigned *)arg;
}

/* By any number of steps at a time all are met, and the next walk begins anew. */
static void a_walk_meets_each_once(void **state)
{
    struct world w = world_new();

    fill(&w);
    for (size_t steps = 1; steps < 5000; steps *= 3) {
        unsigned met = 0;
        size_t cursor = 0;
        while (spool_walk(w.spool, &cursor, steps, note, &met))
            ;
        assert_int_equal(met, MESSAGES);
        assert_int_equal(cursor, 0);
    }
    world_done(&w);
}

static void mark(void *arg, struct spool_message *message)
{
    message->recipients[0].owner = 1;
}

static void expect_mark(void *arg, struct spool_message *message)
{
    assert_int_equal(message->recipients[0].owner, 1);
    ++*(unsigned *)arg;
}

static void accept_until(struct world *w, unsigned *number, unsigned last)
{
    while (*number <= last)
        assert_int_equal(world_accept(w, (*number)++, 1, 10), 0);
    world_run(w);
}

/* Wherever it stands when the table becomes larger. */
static void a_walk_meets_who_stays_while_others_come(void **state)
{
    enum { PLACES = 1024, STEP = 100 };

    for (unsigned before = 1; before < PLACES / STEP; before += 4) {
        struct world w = world_new();
        unsigned number = 1, met = 0;
        size_t cursor = 0;
        world_open(&w);
        accept_until(&w, &number, PLACES);
        for (unsigned i = 0; i < before; i++)
            assert_true(spool_walk(w.spool, &cursor, STEP, mark, NULL));
        accept_until(&w, &number, PLACES + 1);
        while (spool_walk(w.spool, &cursor, STEP, mark, NULL))
            ;
        spool_walk(w.spool, &cursor, SIZE_MAX, expect_mark, &met);
        assert_int_equal(met, PLACES + 1);
        world_done(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_comes_first),
        cmocka_unit_test(nothing_is_a_listing_as_well),
        cmocka_unit_test(it_outlives_what_it_lists),
        cmocka_unit_test(what_is_not_sealed_is_not_listed),
        cmocka_unit_test(a_walk_meets_each_once),
        cmocka_unit_test(a_walk_meets_who_stays_while_others_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
