/*
 * Which background work comes next. Bulk first, since mail waits for it; then room to write to,
 * the lane's mark before that, so that it is there before much lies in the lane;
 * what gives room back before what takes it; scrubbing near the end, since nobody waits for it.
 *
 * One of each kind at a time: so a task needs no lock against its like, and a slow one (a segment
 * is zero-filled) doesn't hold up the others.
 */
#include "spool/lane.h"

typedef struct spool_task *take_fn(struct spool *spool);

static take_fn *const takers[TASK_KINDS] = {
    [TASK_BULK] = bulk_take,       [TASK_MARK] = lane_mark_take,
    [TASK_PREPARE] = prepare_take, [TASK_RECYCLE] = recycle_take,
    [TASK_CLOSE] = close_take,     [TASK_CHECKPOINT] = checkpoint_take,
    [TASK_SCRUB] = scrub_take,     [TASK_SPACE] = space_take,
    [TASK_COMPACT] = compact_take,
};

void task_init(struct spool_task *task, struct spool *spool, void (*run)(struct spool_task *),
               void (*finish)(struct spool *, struct spool_task *, int64_t))
{
    *task = (struct spool_task){.run = run, .finish = finish, .ops = spool->ops};
}

static struct spool_task *take_one(struct spool *spool)
{
    for (enum task_kind kind = 0; kind < TASK_KINDS; kind++) {
        if (spool->task_in_flight[kind] || spool->now_us < spool->task_retry_us[kind])
            continue;
        struct spool_task *task = takers[kind](spool);
        if (!task)
            continue;
        task->kind = kind;
        spool->task_in_flight[kind] = true;
        return task;
    }
    return NULL;
}

static int64_t next_retry(const struct spool *spool)
{
    int64_t next = INT64_MAX;
    for (enum task_kind kind = 0; kind < TASK_KINDS; kind++) {
        int64_t at = spool->task_retry_us[kind];
        if (at > spool->now_us && at < next)
            next = at;
    }
    return next;
}

/* Looking whether there is work walks the segments, so it is done only when something that makes
 * work has happened, or a pause is over. One kind may ask for another that comes before it. */
struct spool_task *spool_take_task(struct spool *spool, int64_t now_us)
{
    struct spool_task *task = NULL;

    spool_tell_time(spool, now_us);
    if (now_us >= spool->tasks_next_us)
        spool->tasks_due = true;
    /* A second pass: compaction may have asked for room, and prepare comes before it in the order.
     */
    for (int pass = 0; pass < 2 && !task && spool->tasks_due; pass++) {
        spool->tasks_due = false;
        task = take_one(spool);
    }
    if (task)
        spool->tasks_due = true;
    else
        spool->tasks_next_us = next_retry(spool);
    return task;
}

void spool_run_task(struct spool_task *task)
{
    task->run(task);
}

void spool_finish_task(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    spool_tell_time(spool, now_us);
    spool->task_in_flight[task->kind] = false;
    /* A kind that failed pauses: a full disk must not be asked again in each turn of the loop. */
    if (task->error)
        spool->task_retry_us[task->kind] = now_us + spool->options.retry_us;
    spool->tasks_due = true;
    task->finish(spool, task, now_us);
    spool_count_lag(spool);
}

/* The earlier of the two; a time that is past doesn't count, since what it was for was asked then.
 */
int64_t spool_next_try_us(const struct spool *spool)
{
    int64_t next = next_retry(spool);
    return spool->retry_at_us > spool->now_us && spool->retry_at_us < next ? spool->retry_at_us
                                                                           : next;
}
