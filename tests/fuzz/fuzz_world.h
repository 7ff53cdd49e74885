/*
 * For targets that play a whole process: threads, timers, clocks and random numbers by which the
 * same input takes the same path each time. Linked in place of the real ones (world_wraps in
 * meson.build), so each must be included by one source of a program.
 *
 * A pool has no threads: what was submitted waits until fuzz_world_work() runs it, which a target
 * may leave undone for a while, as a slow disk would; fuzz_pool_run() and fuzz_pool_finish() are
 * the halves of that, between which the loop may go on. Time stands still but for a microsecond
 * each time it is asked for, until fuzz_world_pass().
 */
#pragma once

#include "fuzz.h"

#include "base/clock.h"
#include "io/pool.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>

struct io_pool {
    struct list waiting, finished, link;
};

struct io_timer {
    io_timer_fn *fn;
    void *arg;
    int64_t due_us;
    struct list link; /* when it is set */
};

static struct fuzz_world {
    int64_t passed_us;
    uint64_t random;
    struct list pools, timers;
} fuzz_world;

/* Before anything else of an input. */
static inline void fuzz_world_begin(void)
{
    fuzz_world = (struct fuzz_world){.random = 1};
    list_init(&fuzz_world.pools);
    list_init(&fuzz_world.timers);
}

/* ---- linked in place of the real ones ---- */

int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_monotonic_us(void);
int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_boottime_us(void);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
int __wrap_io_pool_new(struct io_loop *loop, unsigned threads, struct io_pool **out);
void __wrap_io_pool_submit(struct io_pool *pool, struct io_job *job);
void __wrap_io_pool_free(struct io_pool *pool);
int __wrap_io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out);
int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms);
void __wrap_io_timer_clear(struct io_timer *timer);
void __wrap_io_timer_free(struct io_timer *timer);

int64_t __wrap_clock_wall_us(void)
{
    return INT64_C(1795284003120000) + ++fuzz_world.passed_us;
}

int64_t __wrap_clock_monotonic_us(void)
{
    return INT64_C(1000000000) + ++fuzz_world.passed_us;
}

int64_t __wrap_clock_monotonic_ms(void)
{
    return __wrap_clock_monotonic_us() / 1000;
}

int64_t __wrap_clock_boottime_us(void)
{
    return __wrap_clock_monotonic_us();
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    for (size_t i = 0; i < size; i++) {
        fuzz_world.random = fuzz_world.random * UINT64_C(6364136223846793005) + 1;
        ((uint8_t *)out)[i] = (uint8_t)(fuzz_world.random >> 56);
    }
    return (ssize_t)size;
}

int __wrap_io_pool_new(struct io_loop *loop, unsigned threads, struct io_pool **out)
{
    *out = calloc(1, sizeof(**out));
    assert(*out);
    list_init(&(*out)->waiting);
    list_init(&(*out)->finished);
    list_append(&fuzz_world.pools, &(*out)->link);
    return 0;
}

void __wrap_io_pool_submit(struct io_pool *pool, struct io_job *job)
{
    list_append(&pool->waiting, &job->link);
}

/* What a thread does with one job, and what the loop does when it is done. False: there is none. */
static inline bool fuzz_pool_run(struct io_pool *pool)
{
    struct list *link = list_take_first(&pool->waiting);

    if (!link)
        return false;
    struct io_job *job = CONTAINER_OF(link, struct io_job, link);
    job->run(job);
    list_append(&pool->finished, link);
    return true;
}

static inline bool fuzz_pool_finish(struct io_pool *pool)
{
    struct list *link = list_take_first(&pool->finished);

    if (!link)
        return false;
    struct io_job *job = CONTAINER_OF(link, struct io_job, link);
    job->done(job);
    return true;
}

void __wrap_io_pool_free(struct io_pool *pool)
{
    while (pool && (fuzz_pool_run(pool) || fuzz_pool_finish(pool)))
        ;
    if (pool)
        list_remove(&pool->link);
    free(pool);
}

int __wrap_io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out)
{
    *out = calloc(1, sizeof(**out));
    assert(*out);
    **out = (struct io_timer){.fn = fn, .arg = arg};
    return 0;
}

int __wrap_io_timer_set(struct io_timer *timer, int64_t after_ms)
{
    list_remove(&timer->link);
    timer->due_us = fuzz_world.passed_us + (after_ms > 0 ? after_ms * 1000 : 0);
    list_append(&fuzz_world.timers, &timer->link);
    return 0;
}

void __wrap_io_timer_clear(struct io_timer *timer)
{
    list_remove(&timer->link);
}

void __wrap_io_timer_free(struct io_timer *timer)
{
    if (timer)
        list_remove(&timer->link);
    free(timer);
}

/* ---- for targets ---- */

/* Runs what pools have, each one job; false: nothing. */
static inline bool fuzz_world_work(void)
{
    bool any = false;

    LIST_EACH(&fuzz_world.pools, link)
    {
        struct io_pool *pool = CONTAINER_OF(link, struct io_pool, link);
        bool ran = fuzz_pool_run(pool);
        any |= fuzz_pool_finish(pool) || ran;
    }
    return any;
}

/* Runs the timer that is due first; false: none is. */
static inline bool fuzz_world_ring(void)
{
    struct io_timer *first = NULL;

    LIST_EACH(&fuzz_world.timers, link)
    {
        struct io_timer *timer = CONTAINER_OF(link, struct io_timer, link);
        if (!first || timer->due_us < first->due_us)
            first = timer;
    }
    if (!first || first->due_us > fuzz_world.passed_us)
        return false;
    list_remove(&first->link);
    first->fn(first->arg);
    return true;
}

/* From a millisecond to 24 days, as if the machine had slept: each timer rings at most once. */
static inline void fuzz_world_pass(uint8_t how_long)
{
    fuzz_world.passed_us += (INT64_C(1) << how_long % 32) * 1000;
}
