/* Starts and work on a disk that is full (rule 7), or lets nothing be removed. */
#include "spool_world.h"

#include <errno.h>
#include <stdlib.h>

/* Rule 7: new mail is refused, outcomes are written, and room that comes back is used. */
static void survives_a_full_disk(void **state)
{
    struct world *w = *state;
    unsigned accepted = 0;
    const char *reason;

    w->spool->options.reserve_bytes = 200 * 1024;
    store_sim_set_capacity(w->disk, 900 * 1024);
    while (spool_pressure(w->spool, &reason) == SPOOL_PRESSURE_NONE) {
        assert_int_equal(world_accept(w, ++accepted, 2, 3000), 0);
        w->now_us += 6000000;
        world_run(w);
        assert_true(accepted < 1000);
    }
    assert_int_equal(spool_pressure(w->spool, &reason), SPOOL_PRESSURE_FULL);
    assert_int_equal(world_accept(w, 999, 1, 10), -ENOSPC);
    assert_int_equal(w->failed, 0);
    assert_true(accepted > 50);
    for (unsigned i = 1; i <= accepted; i++) {
        for (unsigned r = 0; r < 2; r++)
            assert_int_equal(world_status(w, i, r, SPOOL_OUTCOME_DELIVERED), 0);
        world_run(w);
    }
    assert_int_equal(w->failed, 0);
    assert_int_equal(w->spool->index.messages, 0);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    w->spool->options.free_segments = 0;
    w->now_us += 6000000;
    world_run(w);
    w->now_us += 6000000;
    world_run(w);
    assert_int_equal(spool_pressure(w->spool, &reason), SPOOL_PRESSURE_NONE);
    assert_int_equal(world_accept(w, 999, 1, 10), 0);
    assert_int_equal(world_commit(w), 0);
}

/* A disk that has no room at all at the start: the spool opens, shows what waits, and refuses. */
static void opens_on_a_full_disk(void **state)
{
    struct world *w = *state;
    const char *reason;

    world_fill(w, 10);
    world_close(w);
    store_sim_set_capacity(w->disk, 1);
    w->options.segment_bytes = 256 * 1024; /* so that the spares don't fit */
    world_open(w);
    world_check_others(w, 10, 0);
    assert_int_equal(spool_pressure(w->spool, &reason), SPOOL_PRESSURE_ROOM);
    assert_string_equal(reason, "the spool's disk has no room for another file");
    assert_int_equal(world_accept(w, 11, 1, 10), -ENOSPC);
    store_sim_set_capacity(w->disk, 0);
    w->now_us += 6000000;
    world_run(w);
    assert_int_equal(world_accept(w, 11, 1, 10), 0);
    assert_int_equal(world_commit(w), 0);
}

/* A person goes by it: another disk, another setting, another quota. */
static void each_shortage_has_its_words(void **state)
{
    static const struct {
        int error;
        struct store_space space;
        enum spool_pressure pressure;
        const char *reason;
    } cases[] = {
        {0, {1 << 30, 1000}, SPOOL_PRESSURE_NONE, ""},
        {0, {1000, 1000}, SPOOL_PRESSURE_FULL, "the spool's disk is nearly full"},
        {0, {1 << 30, 1}, SPOOL_PRESSURE_FULL, "the spool's disk is nearly out of inodes"},
        {-ENOSPC, {1 << 30, 1}, SPOOL_PRESSURE_FULL, "the spool's disk is nearly out of inodes"},
        {-ENOSPC,
         {1000, 1000},
         SPOOL_PRESSURE_ROOM,
         "the spool's disk has no room for another file"},
        {-EDQUOT,
         {1 << 30, 1000},
         SPOOL_PRESSURE_ROOM,
         "the spool's owner has no quota left for another file"},
    };
    struct world *w = *state;
    const char *reason;

    w->spool->options.reserve_bytes = 1 << 20;
    w->spool->options.reserve_inodes = 100;
    assert_int_equal(world_accept(w, 1, 1, 10), 0);
    assert_int_equal(world_commit(w), 0); /* into the spare: there is no other */
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        w->spool->prepare_error = cases[i].error;
        w->spool->space = cases[i].space;
        assert_int_equal(spool_pressure(w->spool, &reason), cases[i].pressure);
        assert_string_equal(reason, cases[i].reason);
    }
}

/* Spares of another size are of no use, but no reason not to start either. */
static void opens_where_nothing_can_be_removed(void **state)
{
    struct world *w = *state;

    world_fill(w, 10);
    world_close(w);
    w->options.segment_bytes = 256 * 1024;
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.name_error = 10000});
    world_open(w);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    for (int round = 0; round < 2; round++) {
        world_check_others(w, 10, 0);
        w->now_us += 6000000;
        world_run(w);
        assert_int_equal(world_accept(w, 11 + round, 1, 10), 0);
        world_run(w);
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_int_equal(world_check(w, 11 + round, 1, 10), 0);
    }
}

static bool has_mark(struct world *w)
{
    void *text;
    size_t size;
    int r = w->spool->ops->get_file(w->spool->store, "lane", 1000, &text, &size);

    assert_true(r == 0 || r == -ENOENT);
    if (r == 0)
        free(text);
    return r == 0;
}

/* Of a lane that was moved away when the disk was full, and then put back beside a new one: it is
 * the one with more segments, and the older. */
static void the_mark_of_a_lane_that_is_gone_decides_nothing(void **state)
{
    enum { THEIRS = 300, OURS = 500 };
    struct world *w = *state;
    struct world_moved moved;

    world_fill(w, THEIRS);
    world_close(w);
    world_move_away(w, &moved);
    store_sim_set_capacity(w->disk, 1);
    world_open(w);
    assert_false(has_mark(w));
    assert_false(list_is_empty(&w->spool->alarms));
    store_sim_set_capacity(w->disk, 0);
    w->now_us += 6000000;
    world_run(w);
    assert_true(has_mark(w));
    assert_int_equal(world_accept(w, OURS, 2, 3000), 0);
    assert_int_equal(world_commit(w), 0);
    uint64_t last = w->spool->last_number[STORE_LOG];
    world_close(w);
    size_t back = world_move_back(w, &moved, last);
    assert_in_range(back, 3, WORLD_MOVED_MAX);
    world_open(w);
    assert_int_equal(world_check(w, OURS, 2, 3000), 0);
    assert_null(world_find(w, THEIRS));
    assert_in_range(spool_damage_count(w->spool), 2, back); /* one is an unused spare */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_a_full_disk, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(opens_on_a_full_disk, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(each_shortage_has_its_words, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(opens_where_nothing_can_be_removed, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(the_mark_of_a_lane_that_is_gone_decides_nothing,
                                        world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
