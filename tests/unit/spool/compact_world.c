#include "compact_world.h"

#include <errno.h>

int compact_setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.keep_segments = 1;
    w.options.checkpoint_segments = 3;
    world_open(&w);
    *state = &w;
    return 0;
}

void compact_fold(struct world *w)
{
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    world_run(w);
}

struct spool_counts compact_counts(struct world *w)
{
    struct spool_counts c;
    spool_get_counts(w->spool, &c);
    return c;
}

void compact_fail_segment(struct world *w)
{
    assert_int_equal(spool_event(w->spool, SPAN("lost"), NULL, NULL), 0);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    assert_int_equal(world_commit(w), -EIO);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
}

void compact_open_alone(struct world *w)
{
    world_close(w);
    w->options.keep_segments = w->options.checkpoint_segments = 1000;
    world_open(w);
}

uint64_t compact_open_with_one(struct world *w)
{
    compact_open_alone(w);
    assert_int_equal(world_accept(w, 1, 2, 500), 0);
    world_run(w);
    return w->spool->open->number;
}

uint64_t compact_open_with_two(struct world *w, size_t size)
{
    compact_open_alone(w);
    assert_int_equal(world_accept_large(w, 1, 50000), 0);
    assert_int_equal(world_accept(w, 2, 2, size), 0);
    world_run(w);
    return w->spool->open->number;
}

void compact_fail_bulk(struct world *w, unsigned number)
{
    assert_int_equal(world_accept_large(w, number, 50000), 0);
    struct spool_task *task = spool_take_task(w->spool, ++w->now_us);
    assert_int_equal(task->kind, TASK_BULK);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){.sync_error = 10000});
    spool_run_task(task);
    store_sim_set_faults(w->disk, &(struct store_sim_faults){0});
    spool_finish_task(w->spool, task, ++w->now_us);
    w->now_us += 1000 * w->options.retry_us;
    world_run(w);
}

void compact_pass_segment(struct world *w, struct spool_task **held)
{
    static char event[7000];
    uint64_t number = w->spool->open ? w->spool->open->number : 0;
    struct spool_task *task;

    while (!w->spool->open || w->spool->open->number == number) {
        assert_int_equal(spool_event(w->spool, span_of(event, sizeof(event)), NULL, NULL), 0);
        assert_int_equal(world_commit(w), 0);
        while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
            if (held && task->kind == TASK_COMPACT) {
                *held = task;
                continue;
            }
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
        }
    }
}

void compact_finish_for_good(struct world *w)
{
    compact_pass_segment(w, NULL);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(world_status(w, 1, i, SPOOL_OUTCOME_RELAYED), 0);
    world_run(w);
    for (int i = 0; i < 2; i++) {
        compact_pass_segment(w, NULL);
        compact_fold(w);
    }
    for (int round = 0; round < 2; round++) {
        assert_null(world_find(w, 1));
        assert_int_equal(world_check(w, 2, 2, 7000), 0);
        world_crash(w, STORE_SIM_POWER_CUT);
    }
}

void compact_empty_dead_segments(struct world *w)
{
    w->spool->options.compact_percent = 1;
    w->spool->options.keep_segments = 0;
    compact_fold(w);
}
