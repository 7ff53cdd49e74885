/* Compaction where the disk fails: rule 6, what can't be read, syncs that fail on two threads. */
#include "compact_world.h"

#include <errno.h>

/* Rule 6: after a failed sync what lives in the segment is written anew, and the segment goes. */
static void evacuates_what_failed(void **state)
{
    struct world *w = *state;
    struct store_sim_faults faults = {.sync_error = 10000};

    w->spool->options.keep_segments = 1000;
    assert_int_equal(world_accept(w, 1, 2, 2000), 0);
    assert_int_equal(world_accept_large(w, 2, 50000), 0);
    world_run(w);
    struct segment *home = index_home(world_find(w, 1));
    uint64_t failed = home->number;
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DELIVERED), 0);
    assert_int_equal(world_commit(w), 0);

    assert_int_equal(world_accept(w, 3, 1, 2000), 0);
    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    w->failed = 0;
    store_sim_set_faults(w->disk, &faults);
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    assert_int_equal(w->failed, 2);
    assert_int_equal(w->last_error, -EIO);
    assert_null(world_find(w, 3));
    assert_int_equal(home->state, SEGMENT_FAILED);

    assert_int_equal(world_status(w, 1, 1, SPOOL_OUTCOME_DEFERRED), 0);
    assert_int_equal(world_accept(w, 3, 1, 2000), 0);
    world_run(w);
    assert_true(index_home(world_find(w, 1))->number > failed);
    compact_fold(w);
    assert_null(spool_segment(w->spool, STORE_LOG, failed));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 2, 2000), 0);
        assert_int_equal(world_check(w, 2, 2, 50000), 0);
        assert_int_equal(world_check(w, 3, 1, 2000), 0);
        assert_int_equal(world_find(w, 1)->waiting, 1);
        assert_int_equal(spool_find_recipient(world_find(w, 1), 1)->attempts, 3);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

/* Bad places of the disk: where the records of the messages from 1 on begin. */
static struct world *scratched_world;
static const struct store_ops *whole_ops;
static struct store_ops scratched_ops;
static unsigned scratched_count; /* 0: nothing is scratched any more */

static ssize_t scratched_read(struct store_segment *segment, uint64_t offset, void *out,
                              size_t size, int flags)
{
    for (unsigned i = 1; i <= scratched_count; i++) {
        struct spool_message *m = world_find(scratched_world, i);
        if (m && index_home(m)->handle == segment && offset <= m->offset &&
            offset + size > m->offset)
            return -EIO;
    }
    return whole_ops->read(segment, offset, out, size, flags);
}

static void scratch(struct world *w, unsigned count)
{
    scratched_world = w;
    scratched_count = count;
    whole_ops = w->spool->ops;
    scratched_ops = *whole_ops;
    scratched_ops.read = scratched_read;
    w->spool->ops = &scratched_ops;
}

/* Minutes, with all their pauses. */
static void wait_long(struct world *w, int minutes)
{
    for (int i = 0; i < minutes; i++) {
        w->now_us += 60 * INT64_C(1000000);
        w->spool->tasks_due = true;
        compact_fold(w);
    }
}

/* A disk that doesn't give what must move is asked again: nothing is given up, and nothing taken
 * for damaged. */
static void what_could_not_be_read_is_moved_later(void **state)
{
    struct world *w = *state;

    uint64_t first = compact_open_with_one(w);

    compact_fail_segment(w);
    assert_int_equal(world_accept(w, 2, 2, 500), 0);
    assert_int_equal(world_commit(w), 0);
    store_sim_set_stumbling(w->disk, 10000, 1000);
    world_run(w);
    assert_int_equal(index_home(world_find(w, 1))->number, first);
    assert_int_equal(spool_damage_count(w->spool), 0);
    store_sim_set_stumbling(w->disk, 0, 0);
    for (int pause = 0; pause < 2; pause++) { /* after the scan, and after the whole */
        w->now_us += 100 * w->options.retry_us;
        world_run(w);
    }
    assert_true(index_home(world_find(w, 1))->number > first);
    assert_int_equal(world_check(w, 1, 2, 500), 0);
}

/* Message 1 lives in the third segment, where it can't be read, and the second has a word on its
 * first record: that one stays as it is. What failed after it is emptied all the same. */
static void what_lives_unreadable_elsewhere_blocks_nothing(void **state)
{
    struct world *w = *state;
    uint64_t first = compact_open_with_two(w, 7000);
    compact_pass_segment(w, NULL);
    assert_int_equal(world_status(w, 1, 0, SPOOL_OUTCOME_DEFERRED), 0);
    compact_pass_segment(w, NULL);
    compact_fail_bulk(w, 3);
    assert_int_equal(index_home(world_find(w, 1))->number, first + 2);
    compact_pass_segment(w, NULL);
    scratch(w, 1);
    compact_empty_dead_segments(w);
    assert_true(recycle_exists(w->spool, first) && recycle_exists(w->spool, first + 1));
    assert_int_equal(world_accept(w, 5, 1, 500), 0);
    world_run(w);
    uint64_t failed = w->spool->open->number;
    compact_fail_segment(w);
    wait_long(w, 10);
    assert_true(index_home(world_find(w, 5))->number > failed);
    assert_null(spool_segment(w->spool, STORE_LOG, failed));
    assert_int_equal(world_check(w, 5, 1, 500), 0);
    assert_true(recycle_exists(w->spool, first + 1));
    assert_int_equal(spool_damage_count(w->spool), 0);
    scratched_count = 0;
    w->spool->options.checkpoint_segments = 1;
    for (int i = 0; i < 2; i++) {
        compact_pass_segment(w, NULL);
        wait_long(w, 10);
    }
    assert_false(recycle_exists(w->spool, first + 1)); /* tried again after a checkpoint */
    compact_finish_for_good(w);
}

/* What lives in what failed is tried again, but behind what else there is to empty. */
static void what_could_not_be_read_comes_last(void **state)
{
    enum { COUNT = 4, BAD = 2 };
    struct world *w = *state;
    uint64_t homes[COUNT];

    compact_open_alone(w);
    scratch(w, BAD);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(world_accept(w, 1 + i, 1, 500), 0);
        world_run(w);
        homes[i] = w->spool->open->number;
        compact_fail_segment(w);
    }
    wait_long(w, 10);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(index_home(world_find(w, 1 + i))->number > homes[COUNT - 1], i >= BAD);
    scratched_count = 0;
    wait_long(w, 4);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(world_check(w, 1 + i, 1, 500), 0);
        assert_null(spool_segment(w->spool, STORE_LOG, homes[i]));
    }
}

static void evacuates_failed_bulk(void **state)
{
    struct world *w = *state;
    struct store_sim_faults faults = {.sync_error = 10000};

    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    world_run(w);
    assert_int_equal(world_accept_large(w, 2, 50000), 0);
    struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
    assert_int_equal(task->kind, TASK_BULK);
    store_sim_set_faults(w->disk, &faults);
    spool_run_task(task);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    w->failed = 0;
    spool_finish_task(w->spool, task, ++w->now_us);
    assert_int_equal(w->failed, 1);
    w->now_us += w->options.retry_us;
    assert_int_equal(world_accept_large(w, 3, 50000), 0);
    world_run(w);
    LIST_EACH(&w->spool->segments[STORE_BULK], link)
    assert_true(CONTAINER_OF(link, struct segment, link)->state != SEGMENT_FAILED);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world_check(w, 1, 2, 50000), 0);
        assert_null(world_find(w, 2));
        assert_int_equal(world_check(w, 3, 2, 50000), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

/* Tasks of compaction until one is taken that copies; that one isn't run. */
static struct spool_task *take_copy(struct world *w)
{
    struct spool_task *task = NULL;

    for (bool is_copy = false; !is_copy;) {
        const struct compaction *c = w->spool->compaction;
        bool has_copies = c && !list_is_empty(&c->copies);
        task = spool_take_task(w->spool, ++w->now_us);
        is_copy = task && task->kind == TASK_COMPACT && has_copies;
        if (!task)
            assert_int_equal(world_commit(w), 0);
        else if (!is_copy) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
    }
    return task;
}

static struct spool_task *take_upload(struct world *w)
{
    struct spool_task *task = spool_take_task(w->spool, ++w->now_us);

    if (task->kind == TASK_PREPARE) {
        spool_run_task(task);
        spool_finish_task(w->spool, task, ++w->now_us);
        task = spool_take_task(w->spool, ++w->now_us);
    }
    assert_int_equal(task->kind, TASK_BULK);
    return task;
}

static struct world *interrupted_world;
static struct store_ops interrupted_ops;
static struct spool_task *interrupting;

/* The other thread's write and failing sync come between the write and the sync of this one. */
static int interrupted_sync(struct store_segment *segment)
{
    struct world *w = interrupted_world;

    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    spool_run_task(interrupting);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    return w->spool->ops->sync(segment);
}

static void run_interrupted(struct world *w, struct spool_task *task, struct spool_task *by)
{
    interrupted_world = w;
    interrupting = by;
    interrupted_ops = *w->spool->ops;
    interrupted_ops.sync = interrupted_sync;
    task->ops = &interrupted_ops;
    spool_run_task(task);
    spool_finish_task(w->spool, by, ++w->now_us);
    spool_finish_task(w->spool, task, ++w->now_us);
}

/* The kernel tells of pages that it couldn't write once for each open file, and forgets them. So an
 * upload and a copy on two threads must not share a segment: the one would take the other's error,
 * and that one's 250 would stand for nothing. */
static void uploads_and_copies_fail_alone(void **state)
{
    enum { STAYS = 1, LARGE = 100, SIZE = 40000 };

    for (uint64_t seed = 0; seed < 12; seed++) {
        bool copy_fails = seed % 2;
        struct world *w = *state;
        world_close(w);
        store_sim_free(w->disk);
        w->disk = store_sim_new(seed);
        world_open(w);
        w->spool->options.keep_segments = 1000;
        for (unsigned i = STAYS; i <= 8; i++) {
            assert_int_equal(world_accept_large(w, i, SIZE), 0);
            world_run(w);
        }
        for (unsigned i = 2; i <= 5; i++)
            for (uint32_t to = 0; to < 2; to++)
                assert_int_equal(world_status(w, i, to, SPOOL_OUTCOME_RELAYED), 0);
        world_run(w);
        w->spool->options.keep_segments = 1;
        w->spool->tasks_due = true;
        struct spool_task *copy = take_copy(w);
        assert_int_equal(world_accept_large(w, LARGE, SIZE), 0);
        struct spool_task *upload = take_upload(w);
        run_interrupted(w, copy_fails ? upload : copy, copy_fails ? copy : upload);
        world_run(w);
        world_crash(w, STORE_SIM_POWER_CUT);
        assert_int_equal(world_check(w, STAYS, 2, SIZE), 0);
        if (copy_fails)
            assert_int_equal(world_check(w, LARGE, 2, SIZE), 0);
        else
            assert_null(world_find(w, LARGE));
        world_teardown(state);
        compact_setup(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(evacuates_what_failed, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(evacuates_failed_bulk, compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(uploads_and_copies_fail_alone, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_read_is_moved_later, compact_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_lives_unreadable_elsewhere_blocks_nothing,
                                        compact_setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_read_comes_last, compact_setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
