#include "../unit.h"

#include "base/buffer.h"
#include "io/loop.h"
#include <sys/socket.h>
#include <unistd.h>

struct log {
    struct io_loop *loop;
    struct buffer text;
    struct io_deferred deferred;
    struct io_watch *watch;
};

static void on_read(void *arg, int fd, unsigned events)
{
    struct log *log = arg;
    char byte;
    assert_int_equal(events, IO_READ);
    assert_int_equal(read(fd, &byte, 1), 1);
    buffer_append_byte(&log->text, byte);
    io_defer(log->loop, &log->deferred);
    io_defer(log->loop, &log->deferred);
}

static void on_turn_end(struct io_deferred *deferred)
{
    struct log *log = CONTAINER_OF(deferred, struct log, deferred);
    buffer_append(&log->text, "|", 1);
}

static void on_time(void *arg)
{
    struct log *log = arg;
    buffer_append(&log->text, "T", 1);
    io_loop_stop(log->loop);
}

static void order_of_a_turn(void **state)
{
    struct log log = {.deferred.fn = on_turn_end};
    struct io_timer *timer;
    int fds[2];

    assert_int_equal(io_loop_new(&log.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(io_watch_new(log.loop, fds[0], on_read, &log, &log.watch), 0);
    assert_int_equal(io_watch_set(log.watch, IO_READ), 0);
    assert_int_equal(io_timer_new(log.loop, on_time, &log, &timer), 0);
    assert_int_equal(io_timer_set(timer, 20), 0);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    assert_int_equal(io_loop_run(log.loop), 0);
    assert_span(buffer_span(&log.text), "a|b|T");

    /* Muted: nothing arrives; cancelled work doesn't run. */
    buffer_clear(&log.text);
    assert_int_equal(io_watch_set(log.watch, 0), 0);
    assert_int_equal(write(fds[1], "c", 1), 1);
    io_defer(log.loop, &log.deferred);
    io_defer_cancel(&log.deferred);
    assert_int_equal(io_loop_turn(log.loop), 0);
    assert_int_equal(log.text.size, 0);

    io_watch_free(log.watch);
    io_timer_free(timer);
    io_loop_free(log.loop);
    buffer_done(&log.text);
    close(fds[0]);
    close(fds[1]);
}

struct late {
    struct io_deferred deferred;
    struct log *log;
};

static void on_late(struct io_deferred *deferred)
{
    struct log *log = CONTAINER_OF(deferred, struct late, deferred)->log;
    buffer_append(&log->text, "L", 1);
    io_defer(log->loop, &log->deferred);
}

static void late_work_waits_for_all_other(void **state)
{
    struct log log = {.deferred.fn = on_turn_end};
    struct late late[2] = {{.deferred.fn = on_late, .log = &log},
                           {.deferred.fn = on_late, .log = &log}};

    assert_int_equal(io_loop_new(&log.loop), 0);
    io_defer_late(log.loop, &late[0].deferred);
    io_defer_late(log.loop, &late[1].deferred);
    io_defer_late(log.loop, &late[0].deferred);
    io_defer(log.loop, &log.deferred);
    assert_int_equal(io_loop_turn(log.loop), 0);
    assert_span(buffer_span(&log.text), "|L|L|");
    io_loop_free(log.loop);
    buffer_done(&log.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order_of_a_turn),
                                       cmocka_unit_test(late_work_waits_for_all_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
