/*
 * Drives the spool: one group in flight on a thread of its own, tasks (bulk writes, segments,
 * checkpoints, compaction) on others. The next group is taken in the turn in which the last one
 * came back, so that the disk is never idle while anything is pending.
 *
 * One message alone, on a disk that has been quick for a while, is written by the loop itself: to
 * wake a thread and be woken by it takes about as long as such a sync. What comes meanwhile waits
 * for it, as it would for the next group. As soon as a sync isn't quick, or a second message or a
 * task is there, the thread does it.
 */
#include "proc/queue/queue.h"

#include "base/clock.h"
#include <errno.h>

enum {
    QUICK_US = 500,
    QUICK_GROUPS = 32, /* in a row: a disk that stalls now and then seldom stalls the loop */
};

static void write_group(struct io_job *job)
{
    struct committer *c = CONTAINER_OF(job, struct committer, write);
    int64_t before_us = clock_monotonic_us();

    spool_write_group(c->group);
    c->took_us = clock_monotonic_us() - before_us;
}

/* Outcomes first: they free what new bodies would fill. */
static void resume(struct queue *q)
{
    settle_resume(q);
    intake_resume(q);
    pressure_update(q);
    committer_kick(q);
}

static void group_written(struct io_job *job)
{
    struct committer *c = CONTAINER_OF(job, struct committer, write);
    struct queue *q = CONTAINER_OF(c, struct queue, committer);
    struct spool_group *group = c->group;

    c->group = NULL;
    c->quick_groups = c->took_us < QUICK_US ? c->quick_groups + 1 : 0;
    spool_finish_group(q->spool, group, clock_wall_us());
    feed_sealed(q);
    resume(q);
}

static void run_task(struct io_job *job)
{
    spool_run_task(CONTAINER_OF(job, struct queue_task, job)->task);
}

static void task_done(struct io_job *job)
{
    struct queue_task *t = CONTAINER_OF(job, struct queue_task, job);
    struct queue *q = t->queue;
    struct spool_task *task = t->task;

    t->task = NULL;
    spool_finish_task(q->spool, task, clock_wall_us());
    resume(q);
}

/* Each takes a message that came in: so the loop gets to its descriptors in between. */
static bool may_write_here(const struct queue *q)
{
    return q->commits == 1 && q->committer.quick_groups >= QUICK_GROUPS && committer_is_idle(q);
}

static void take_group(struct queue *q, int64_t now_us)
{
    struct committer *c = &q->committer;

    if (c->group)
        return;
    bool here = may_write_here(q);
    c->group = spool_take_group(q->spool, now_us);
    if (c->group && here) {
        write_group(&c->write);
        group_written(&c->write);
    } else if (c->group) {
        io_pool_submit(q->commit_pool, &c->write);
    }
}

static void take_tasks(struct queue *q, int64_t now_us)
{
    for (unsigned i = 0; i < QUEUE_TASKS; i++) {
        struct queue_task *t = &q->committer.tasks[i];
        if (t->task)
            continue;
        t->task = spool_take_task(q->spool, now_us);
        if (!t->task)
            return;
        io_pool_submit(q->work_pool, &t->job);
    }
}

static void set_timer(struct queue *q, int64_t now_us)
{
    int64_t next_us = spool_next_try_us(q->spool);

    if (next_us == INT64_MAX)
        io_timer_clear(q->committer.timer);
    else
        io_timer_set(q->committer.timer, next_us > now_us ? (next_us - now_us) / 1000 + 1 : 0);
}

static void on_kick(struct io_deferred *deferred)
{
    struct queue *q = CONTAINER_OF(deferred, struct queue, committer.kick);
    int64_t now_us = clock_wall_us();

    take_group(q, now_us);
    take_tasks(q, now_us);
    set_timer(q, now_us);
}

static void on_timer(void *arg)
{
    committer_kick(arg);
}

void committer_kick(struct queue *q)
{
    io_defer(q->loop, &q->committer.kick);
}

bool committer_is_idle(const struct queue *q)
{
    if (q->committer.group)
        return false;
    for (unsigned i = 0; i < QUEUE_TASKS; i++)
        if (q->committer.tasks[i].task)
            return false;
    return true;
}

int committer_init(struct queue *q)
{
    struct committer *c = &q->committer;

    *c = (struct committer){.kick.fn = on_kick,
                            .write = {.run = write_group, .done = group_written}};
    for (unsigned i = 0; i < QUEUE_TASKS; i++)
        c->tasks[i] = (struct queue_task){.job = {.run = run_task, .done = task_done}, .queue = q};
    return io_timer_new(q->loop, on_timer, q, &c->timer);
}

void committer_done(struct queue *q)
{
    io_defer_cancel(&q->committer.kick);
    io_timer_free(q->committer.timer);
}
