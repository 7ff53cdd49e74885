#include "../unit.h"

#include "io/pool.h"
#include <pthread.h>

enum { JOBS = 200 };

struct work {
    struct io_job job;
    struct io_loop *loop;
    int input, output;
    int *left;
    pthread_t loop_thread;
};

static void square(struct io_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    work->output = work->input * work->input;
}

static void count(struct io_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    assert_true(pthread_equal(pthread_self(), work->loop_thread));
    if (--*work->left == 0)
        io_loop_stop(work->loop);
}

static void jobs_come_back(void **state)
{
    static struct work work[JOBS];
    struct io_loop *loop;
    struct io_pool *pool;
    int left = JOBS;

    assert_int_equal(io_loop_new(&loop), 0);
    assert_int_equal(io_pool_new(loop, 3, &pool), 0);
    for (int i = 0; i < JOBS; i++) {
        work[i] = (struct work){.job = {.run = square, .done = count},
                                .loop = loop,
                                .input = i,
                                .left = &left,
                                .loop_thread = pthread_self()};
        io_pool_submit(pool, &work[i].job);
    }
    assert_int_equal(io_loop_run(loop), 0);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(work[i].output, i * i);

    /* Freed with work under way: it is finished and reported first. */
    left = JOBS;
    for (int i = 0; i < JOBS; i++)
        io_pool_submit(pool, &work[i].job);
    io_pool_free(pool);
    assert_int_equal(left, 0);
    io_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
