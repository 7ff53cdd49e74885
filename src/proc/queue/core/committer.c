#include "proc/queue/core/committer.h"

#include "base/clock.h"
#include <errno.h>

enum {
    QUICK_US =
        500, /* a disk with a cache of its own that survives a power cut; others take longer */
    QUICK_GROUPS = 32, /* in a row: a disk that stalls now and then seldom stalls the loop */
    HANGS_MS = 30000,  /* half of what smtpd waits for an answer */
};

/* On the commit thread, or on the loop for one message on a quick disk. */
static void write_group(struct io_job *job)
{
    struct committer *c = CONTAINER_OF(job, struct committer, write);
    int64_t before_us = clock_monotonic_us();

    spool_write_group(c->group);
    c->took_us = clock_monotonic_us() - before_us;
}

/* On the loop, whoever wrote. through() before the kick: what waits for room appends first, and
 * goes with the next group. */
static void group_written(struct io_job *job)
{
    struct committer *c = CONTAINER_OF(job, struct committer, write);
    struct spool_group *group = c->group;

    c->group = NULL;
    c->quick_groups = c->took_us < QUICK_US ? c->quick_groups + 1 : 0;
    spool_finish_group(c->spool, group, clock_wall_us());
    c->through(c, true);
    committer_kick(c);
}

static void run_task(struct io_job *job)
{
    spool_run_task(CONTAINER_OF(job, struct committer_task, job)->task);
}

/* The slot is free before the spool is told: what that begins may need one. */
static void task_done(struct io_job *job)
{
    struct committer_task *t = CONTAINER_OF(job, struct committer_task, job);
    struct committer *c = t->committer;
    struct spool_task *task = t->task;

    t->task = NULL;
    spool_finish_task(c->spool, task, clock_wall_us());
    c->through(c, false);
    committer_kick(c);
}

/* Each takes a message that came in: so the loop gets to its descriptors in between. Idle, since a
 * task on a thread means that the disk is busy with more than this. */
static bool may_write_here(const struct committer *c)
{
    return c->messages == 1 && c->quick_groups >= QUICK_GROUPS && committer_is_idle(c);
}

static void take_group(struct committer *c, int64_t now_us)
{
    if (c->group)
        return;
    bool here = may_write_here(c);
    c->group = spool_take_group(c->spool, now_us);
    c->taken_ms = io_loop_now_ms(c->loop);
    if (c->group && here) {
        write_group(&c->write);
        group_written(&c->write);
    } else if (c->group) {
        io_pool_submit(c->commit_pool, &c->write);
    }
}

/* The spool says which comes next (src/spool/task.c): bulk before all, since mail waits for it. */
static void take_tasks(struct committer *c, int64_t now_us)
{
    for (unsigned i = 0; i < COMMITTER_TASKS; i++) {
        struct committer_task *t = &c->tasks[i];
        if (t->task)
            continue;
        t->task = spool_take_task(c->spool, now_us);
        if (!t->task)
            return;
        io_pool_submit(c->work_pool, &t->job);
    }
}

/* For retries after a failure and for the scrubber: everything else kicks. Rounded up, so that the
 * turn that it wakes doesn't come a moment too early and find nothing. */
static void set_timer(struct committer *c, int64_t now_us)
{
    int64_t next_us = spool_next_try_us(c->spool);

    if (next_us == INT64_MAX)
        io_timer_clear(c->timer);
    else
        io_timer_set(c->timer, next_us > now_us ? (next_us - now_us) / 1000 + 1 : 0);
}

/* Once a turn, at its end: all that this turn's frames brought goes in one group. */
static void on_kick(struct io_deferred *deferred)
{
    struct committer *c = CONTAINER_OF(deferred, struct committer, kick);
    int64_t now_us = clock_wall_us();

    take_group(c, now_us);
    take_tasks(c, now_us);
    set_timer(c, now_us);
}

static void on_timer(void *arg)
{
    committer_kick(arg);
}

void committer_kick(struct committer *c)
{
    io_defer(c->loop, &c->kick);
}

bool committer_hangs(const struct committer *c)
{
    return c->group && io_loop_now_ms(c->loop) - c->taken_ms >= HANGS_MS;
}

/* Of what is in flight only; what is pending the spool's counts tell. */
bool committer_is_idle(const struct committer *c)
{
    if (c->group)
        return false;
    for (unsigned i = 0; i < COMMITTER_TASKS; i++)
        if (c->tasks[i].task)
            return false;
    return true;
}

int committer_init(struct committer *c, struct io_loop *loop,
                   void (*through)(struct committer *committer, bool sealed))
{
    *c = (struct committer){.loop = loop,
                            .through = through,
                            .kick.fn = on_kick,
                            .write = {.run = write_group, .done = group_written}};
    for (unsigned i = 0; i < COMMITTER_TASKS; i++)
        c->tasks[i] =
            (struct committer_task){.job = {.run = run_task, .done = task_done}, .committer = c};
    return io_timer_new(loop, on_timer, c, &c->timer);
}

void committer_done(struct committer *c)
{
    io_defer_cancel(&c->kick);
    io_timer_free(c->timer);
}
