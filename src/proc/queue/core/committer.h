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
#pragma once

#include "io/pool.h"
#include "spool/spool.h"

enum { COMMITTER_TASKS = 3 };

struct committer;

struct committer_task {
    struct io_job job;
    struct committer *committer;
    struct spool_task *task; /* NULL: idle */
};

struct committer {
    struct io_loop *loop;
    struct spool *spool;
    struct io_pool *commit_pool, *work_pool; /* for groups, for tasks */
    /* A group or a task is through, `sealed`: a group. There may be room in the spool. */
    void (*through)(struct committer *committer, bool sealed);
    struct io_deferred kick;
    struct io_timer *timer;
    struct io_job write;
    struct spool_group *group; /* in flight, or NULL */
    int64_t taken_ms;          /* since when, by the loop's clock */
    int64_t took_us;           /* the last one */
    uint32_t quick_groups;     /* the last so many were quick */
    uint32_t messages;         /* that are on their way to the disk; counted by who brings them */
    struct committer_task tasks[COMMITTER_TASKS];
};

/* 0 or -errno. The caller sets spool and pools before the first kick. */
int committer_init(struct committer *c, struct io_loop *loop,
                   void (*through)(struct committer *committer, bool sealed));
/* The pools must be gone: nothing is in flight. */
void committer_done(struct committer *c);
/* Something was appended or finished: look at the end of this turn for what to write. */
void committer_kick(struct committer *c);
/* A group is under way for so long that clients had better come later: a disk that stalls, or a
 * file system that is frozen. */
bool committer_hangs(const struct committer *c);
/* No group and no task is in flight. */
bool committer_is_idle(const struct committer *c);
