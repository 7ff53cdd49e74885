/*
 * Two lists under one lock, and an eventfd that wakes the loop. It is raised once for all jobs that
 * finish before the loop looks (`told`): a burst of small jobs costs one wake-up, not one each.
 */
#include "io/pool.h"

#include "base/log.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct io_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting, finished; /* under the lock */
    bool ending, told;             /* under the lock; told: the eventfd is already raised */
    int event_fd;
    struct io_watch *watch;
    unsigned thread_count;
    pthread_t threads[];
};

static void *thread_main(void *arg)
{
    struct io_pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct list *link = list_take_first(&pool->waiting);
        if (!link) {
            if (pool->ending)
                break;
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        struct io_job *job = CONTAINER_OF(link, struct io_job, link);
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        list_append(&pool->finished, &job->link);
        if (!pool->told) {
            pool->told = true;
            if (eventfd_write(pool->event_fd, 1) < 0)
                log_panic("pool: eventfd: %m");
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void run_done(struct io_pool *pool)
{
    struct list mine, *link;

    list_init(&mine);
    pthread_mutex_lock(&pool->lock);
    while ((link = list_take_first(&pool->finished)))
        list_append(&mine, link);
    pool->told = false;
    pthread_mutex_unlock(&pool->lock);
    while ((link = list_take_first(&mine))) {
        struct io_job *job = CONTAINER_OF(link, struct io_job, link);
        job->done(job);
    }
}

static void on_finished(void *arg, int fd, unsigned events)
{
    eventfd_t count;

    if (eventfd_read(fd, &count) == 0)
        run_done(arg);
}

/* Ends and joins the first `count` threads. */
static void end_threads(struct io_pool *pool, unsigned count)
{
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < count; i++)
        pthread_join(pool->threads[i], NULL);
}

static int start_threads(struct io_pool *pool)
{
    sigset_t all, before;
    int r = 0;

    /* Signals go to the loop's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    unsigned started = 0;
    while (started < pool->thread_count && r == 0) {
        r = -pthread_create(&pool->threads[started], NULL, thread_main, pool);
        started += r == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        end_threads(pool, started);
    return r;
}

static void pool_destroy(struct io_pool *pool)
{
    io_watch_free(pool->watch);
    if (pool->event_fd >= 0)
        close(pool->event_fd);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int io_pool_new(struct io_loop *loop, unsigned threads, struct io_pool **out)
{
    struct io_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));

    if (!pool)
        return -ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    list_init(&pool->waiting);
    list_init(&pool->finished);
    pool->thread_count = threads;
    pool->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int r = pool->event_fd < 0
                ? -errno
                : io_watch_new(loop, pool->event_fd, on_finished, pool, &pool->watch);
    if (r == 0)
        r = io_watch_set(pool->watch, IO_READ);
    if (r == 0)
        r = start_threads(pool);
    if (r < 0) {
        pool_destroy(pool);
        return r;
    }
    *out = pool;
    return 0;
}

void io_pool_submit(struct io_pool *pool, struct io_job *job)
{
    pthread_mutex_lock(&pool->lock);
    list_append(&pool->waiting, &job->link);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

void io_pool_free(struct io_pool *pool)
{
    if (!pool)
        return;
    end_threads(pool, pool->thread_count);
    run_done(pool);
    pool_destroy(pool);
}
