/* Rule 5b: what a segment that goes says of others is said again in another. */
#include "compact_world.h"

/* Accepts mail until the log goes on in another segment than `segment`. */
static void leave_segment(struct world *w, uint64_t segment)
{
    for (unsigned i = 9000; w->spool->open->number == segment; i++) {
        assert_int_equal(world_accept(w, i, 1, 7000), 0);
        world_run(w);
    }
}

/* Messages 1 and 2 lie in a segment, and the log goes on in the next: the number of theirs. */
static uint64_t open_behind_lists(struct world *w)
{
    compact_open_alone(w);
    assert_int_equal(world_accept(w, 1, 5, 500), 0);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    world_run(w);
    uint64_t home = w->spool->open->number;
    leave_segment(w, home);
    return home;
}

static void give_outcomes(struct world *w)
{
    struct spool_status reroute = {
        .recipient = 4, .outcome = SPOOL_OUTCOME_REROUTED, .host = SPAN("host:gate.example:25")};

    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_status(w, 1, 2, SPOOL_OUTCOME_HELD), 0);
    assert_int_equal(world_status(w, 1, 3, SPOOL_OUTCOME_NOTIFIED), 0);
    assert_int_equal(spool_status(w->spool, world_find(w, 1), &reroute, 1, NULL, NULL), 0);
    assert_int_equal(world_status(w, 2, 0, SPOOL_OUTCOME_RELAYED), 0);
    assert_int_equal(world_status(w, 2, 1, SPOOL_OUTCOME_RETURNED), 0);
    world_run(w);
}

static void check_outcomes(struct world *w)
{
    assert_null(world_find(w, 2));
    assert_int_equal(world_check(w, 1, 5, 500), 0);
    struct spool_message *m = world_find(w, 1);
    assert_int_equal(m->waiting, 4);
    assert_null(spool_find_recipient(m, 0));
    assert_int_equal(spool_find_recipient(m, 1)->attempts, 3);
    assert_int_equal(spool_find_recipient(m, 1)->next_attempt_us, 777);
    assert_int_equal(spool_find_recipient(m, 2)->state, SPOOL_RECIPIENT_HELD);
    assert_false(spool_find_recipient(m, 2)->is_notified);
    assert_true(spool_find_recipient(m, 3)->is_notified);
    assert_span(spool_domain(w->spool, spool_find_recipient(m, 1)->domain), "d1.example");
    assert_span(spool_domain(w->spool, spool_find_recipient(m, 4)->domain), "host:gate.example:25");
}

/* Rule 5b: outcomes leave their segment only for another one, as long as the MESSAGE records that
 * they are of lie somewhere. Without that a restart would deliver again what was delivered. */
static void outcomes_outlive_their_segment(void **state)
{
    struct world *w = *state;
    uint64_t home = open_behind_lists(w);
    uint64_t outcomes = w->spool->open->number;
    give_outcomes(w);
    check_outcomes(w);
    compact_fail_segment(w);
    assert_int_equal(spool_segment(w->spool, STORE_LOG, outcomes)->state, SEGMENT_FAILED);
    world_run(w);
    compact_fold(w);
    assert_null(spool_segment(w->spool, STORE_LOG, outcomes));
    assert_int_equal(index_home(world_find(w, 1))->number, home);
    for (int round = 0; round < 2; round++) {
        world_crash(w, STORE_SIM_POWER_CUT);
        check_outcomes(w);
        assert_int_equal(spool_damage_count(w->spool), 0);
    }
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DELIVERED), 0);
    world_run(w);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(world_find(w, 1)->waiting, 3);
}

/* What is said again is computed when its group is taken: after a group that failed, anew. */
static void a_failed_group_says_outcomes_again_as_they_are_then(void **state)
{
    struct world *w = *state;
    struct spool_task *task;

    open_behind_lists(w);
    uint64_t outcomes = w->spool->open->number;
    give_outcomes(w);
    compact_fail_segment(w);
    assert_int_equal(world_accept(w, 5000, 1, 100), 0);
    assert_int_equal(world_commit(w), 0);
    while (list_is_empty(&w->spool->restates)) {
        task = spool_take_task(w->spool, ++w->now_us);
        if (!task && list_is_empty(&w->spool->restates)) /* what lives there moves first */
            assert_int_equal(world_commit(w), 0);
        if (!task)
            continue;
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    compact_fail_segment(w); /* with what was to be said again in it */
    assert_false(list_is_empty(&w->spool->restates));
    w->now_us += 1000 * w->options.retry_us;
    world_run(w);
    compact_fold(w);
    assert_null(spool_segment(w->spool, STORE_LOG, outcomes));
    world_crash(w, STORE_SIM_POWER_CUT);
    check_outcomes(w);
}

/* Rule 5b over several homes: what was moved, and finished there, stays finished as long as its
 * first record lies on disk, whatever becomes of the segments between. */
static void what_was_moved_stays_finished_while_its_first_record_is_there(void **state)
{
    struct world *w = *state;
    uint64_t first = compact_open_with_two(w, 500);
    leave_segment(w, first);
    uint64_t second = w->spool->open->number;
    compact_fail_bulk(w, 3);
    assert_int_equal(index_home(world_find(w, 1))->number, second);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_RELAYED), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    assert_null(world_find(w, 1));
    for (int i = 0; i < 2; i++) { /* what was said again is said again */
        uint64_t number = w->spool->open->number;
        compact_fail_segment(w);
        world_run(w);
        compact_fold(w);
        assert_null(spool_segment(w->spool, STORE_LOG, number));
    }
    assert_true(recycle_exists(w->spool, first));
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_null(world_find(w, 1));
    assert_int_equal(world_check(w, 2, 2, 500), 0);
    assert_int_equal(spool_damage_count(w->spool), 0);
}

/* As world_run(), but the thread that loads what is to be moved takes so long that the log goes on
 * in another segment meanwhile. */
static void run_with_a_slow_load(struct world *w)
{
    struct spool_task *task, *held = NULL;

    assert_int_equal(spool_event(w->spool, SPAN("go"), NULL, NULL), 0);
    assert_int_equal(world_commit(w), 0);
    w->now_us += 1000 * w->options.retry_us;
    while (!held) {
        task = spool_take_task(w->spool, ++w->now_us);
        assert_non_null(task);
        if (task->kind == TASK_COMPACT && w->spool->compaction->stage == COMPACT_MOVE) {
            held = task;
            break;
        }
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    compact_pass_segment(w, &held);
    spool_run_task(held);
    spool_finish_task(w->spool, held, ++w->now_us);
    world_run(w);
    compact_fold(w);
}

/* Rule 5b over several homes, of one that waits while the segment between goes: what ends it later
 * must stay as long as its first record. It says so of its home only, so the home must stay. */
static void what_waits_is_tied_to_all_its_records(void **state)
{
    struct world *w = *state;
    uint64_t first = compact_open_with_two(w, 7000);
    compact_pass_segment(w, NULL);
    uint64_t second = w->spool->open->number;
    compact_fail_bulk(w, 3);
    assert_int_equal(index_home(world_find(w, 1))->number, second);
    compact_fail_segment(w);
    run_with_a_slow_load(w);
    assert_null(spool_segment(w->spool, STORE_LOG, second));
    assert_true(index_home(world_find(w, 1))->number > second);
    compact_finish_for_good(w);
    assert_true(recycle_exists(w->spool, first));
}

/* The same when it lives in neither of the two: it moves all the same, once. */
static void what_lives_elsewhere_moves_to_be_tied(void **state)
{
    struct world *w = *state;
    uint64_t first = compact_open_with_two(w, 7000);
    for (unsigned i = 0; i < 2; i++) { /* from the first to the second, and on to the third */
        compact_pass_segment(w, NULL);
        compact_fail_bulk(w, 3 + i);
    }
    uint64_t third = index_home(world_find(w, 1))->number;
    assert_int_equal(third, first + 2);
    compact_pass_segment(w, NULL);
    w->spool->options.compact_percent = 1;
    w->spool->options.keep_segments = 0;
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    for (int i = 0; i < 100 && index_home(world_find(w, 1))->number == third; i++) {
        struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
        if (!task) {
            world_commit(w);
            continue;
        }
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
    }
    uint64_t home = index_home(world_find(w, 1))->number;
    assert_true(home > third);
    world_crash(w, STORE_SIM_POWER_CUT); /* before the second could go */
    assert_non_null(spool_segment(w->spool, STORE_LOG, first + 1));
    compact_empty_dead_segments(w);
    assert_false(recycle_exists(w->spool, first + 1));
    assert_int_equal(index_home(world_find(w, 1))->number, home);
    compact_finish_for_good(w);
    assert_true(recycle_exists(w->spool, first));
}

/* The same of a restated outcome whose segment fails, over and over. */
static void outcomes_are_said_again_as_often_as_need_be(void **state)
{
    struct world *w = *state;

    open_behind_lists(w);
    give_outcomes(w);
    for (int i = 0; i < 3; i++) {
        uint64_t number = w->spool->open->number;
        compact_fail_segment(w);
        world_run(w);
        compact_fold(w);
        assert_null(spool_segment(w->spool, STORE_LOG, number));
    }
    world_crash(w, STORE_SIM_POWER_CUT);
    check_outcomes(w);
}

/* What recovery knows of segments is what was known before: which outcomes must stay. */
static void concerns_are_known_again_after_a_crash(void **state)
{
    struct world *w = *state;

    uint64_t first = compact_open_with_one(w);

    compact_fail_segment(w);
    world_run(w);
    const struct segment *second = index_home(world_find(w, 1));
    uint64_t number = second->number;
    assert_int_equal(second->concern_count, 1);
    assert_int_equal(second->concerns[0], first);
    world_crash(w, STORE_SIM_POWER_CUT);
    second = spool_segment(w->spool, STORE_LOG, number);
    assert_non_null(second);
    assert_int_equal(second->concern_count, 1);
    assert_int_equal(second->concerns[0], first);
}

/* What is said again of a message names all that wait. Where each segment has a word on many such
 * messages, saying them again would take more than the segment, which stays then: else each new one
 * would make two. */
static void says_no_more_again_than_it_frees(void **state)
{
    enum { LISTS = 30, MANY = 60, SEGMENTS = 20 };
    struct world *w = *state;

    for (unsigned i = 1; i <= LISTS; i++)
        assert_int_equal(world_accept(w, i, MANY, 100), 0);
    world_run(w);
    for (uint32_t n = 0; n < SEGMENTS; n++) {
        for (unsigned i = 1; i <= LISTS; i++)
            assert_int_equal(world_status(w, i, n, SPOOL_OUTCOME_DEFERRED), 0);
        world_run(w);
        compact_pass_segment(w, NULL);
        compact_fold(w);
    }
    assert_true(compact_counts(w).bytes_written < (SEGMENTS + 2) * w->options.segment_bytes);
    assert_true(compact_counts(w).log_segments <= SEGMENTS + 5);
    for (unsigned i = 1; i <= LISTS; i++)
        for (uint32_t n = 0; n < MANY; n++)
            assert_int_equal(world_status(w, i, n, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    for (int i = 0; i < 2 * SEGMENTS; i++) {
        compact_pass_segment(w, NULL);
        compact_fold(w);
    }
    assert_true(compact_counts(w).log_segments <= 8);
    world_crash(w, STORE_SIM_POWER_CUT);
    assert_int_equal(w->spool->index.messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outcomes_outlive_their_segment, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_failed_group_says_outcomes_again_as_they_are_then,
                                        compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(
            what_was_moved_stays_finished_while_its_first_record_is_there, compact_setup,
            world_teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_tied_to_all_its_records, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_lives_elsewhere_moves_to_be_tied, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(outcomes_are_said_again_as_often_as_need_be, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(concerns_are_known_again_after_a_crash, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(says_no_more_again_than_it_frees, compact_setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
