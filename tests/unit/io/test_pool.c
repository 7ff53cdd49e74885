#include "../unit.h"

#include "io/pool.h"
#include <pthread.h>
#include <signal.h>

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

/* ---- order ---- */

struct step {
    struct io_job job;
    struct order *order;
    int number;
};

struct order {
    struct io_loop *loop;
    struct io_pool *pool;
    int ran[8], done[8];
    int ran_count, done_count;
    struct step *next; /* submitted by the first one that is done */
};

static void note_run(struct io_job *job)
{
    struct step *step = CONTAINER_OF(job, struct step, job);
    struct order *order = step->order;
    sigset_t blocked;

    order->ran[order->ran_count++] = step->number;
    /* Signals are the loop's thread's. */
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGTERM), 1);
}

static void note_done(struct io_job *job)
{
    struct step *step = CONTAINER_OF(job, struct step, job);
    struct order *order = step->order;

    order->done[order->done_count++] = step->number;
    if (order->next) {
        io_pool_submit(order->pool, &order->next->job);
        order->next = NULL;
    } else if (order->done_count == 4) {
        io_loop_stop(order->loop);
    }
}

/* One thread has one order, for running and for coming back; and what is done may bring more. */
static void one_thread_keeps_the_order(void **state)
{
    struct order order = {0};
    struct step steps[4];
    sigset_t blocked;

    for (int i = 0; i < 4; i++)
        steps[i] = (struct step){
            .job = {.run = note_run, .done = note_done}, .order = &order, .number = i};
    order.next = &steps[3];
    assert_int_equal(io_loop_new(&order.loop), 0);
    assert_int_equal(io_pool_new(order.loop, 1, &order.pool), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    for (int i = 0; i < 3; i++)
        io_pool_submit(order.pool, &steps[i].job);
    assert_int_equal(order.done_count, 0); /* only on the loop */
    assert_int_equal(io_loop_run(order.loop), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(order.ran[i], i);
        assert_int_equal(order.done[i], i);
    }
    io_pool_free(order.pool);
    io_pool_free(NULL);
    io_loop_free(order.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_come_back),
                                       cmocka_unit_test(one_thread_keeps_the_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
