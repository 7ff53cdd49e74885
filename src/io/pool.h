/*
 * Threads for what blocks: syncs, cold reads, file creation, password hashes. A job runs on some
 * thread of the pool, in the order of submission per free thread, and is then handed back on the
 * loop. Embedded in its owner, who keeps it until `done` was called: a submitted job can't be
 * cancelled, its owner waits for it.
 */
#pragma once

#include "io/loop.h"

struct io_pool;

struct io_job {
    struct list link;
    void (*run)(struct io_job *job);  /* on a thread; touches nothing but the job's own */
    void (*done)(struct io_job *job); /* on the loop */
};

/* Starts the threads at once, so that a sandbox set afterwards with TSYNC covers them. 0 or -errno;
 * then no thread is left. */
int io_pool_new(struct io_loop *loop, unsigned threads, struct io_pool **out);
/* On the loop's thread. Never fails, and never waits for a job: the queue is as long as its owners
 * make it, who have one job each. */
void io_pool_submit(struct io_pool *pool, struct io_job *job);
/* Lets the threads finish all that was submitted, ends them, and runs the pending `done`s, which
 * may submit nothing any more: nobody would run it. NULL is fine. */
void io_pool_free(struct io_pool *pool);
