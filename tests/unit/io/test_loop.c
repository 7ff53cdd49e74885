#include "../unit.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "io/loop.h"
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
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

/* ---- watches ---- */

/* What was reported, and what the callback does about it. */
struct pipe_end {
    struct io_watch *watch;
    struct io_watch *free_too; /* freed by the callback, with its own */
    unsigned reported, calls;
};

static void on_events(void *arg, int fd, unsigned events)
{
    struct pipe_end *end = arg;

    end->reported = events;
    end->calls++;
    if (end->free_too) {
        io_watch_free(end->free_too);
        io_watch_free(end->watch);
        end->watch = end->free_too = NULL;
    }
}

static void turns(struct io_loop *loop, int count)
{
    while (count--)
        assert_int_equal(io_loop_turn(loop), 0);
}

/* Level-triggered: reported again and again while it is so, and only what was asked for. */
static void what_is_reported(void **state)
{
    struct pipe_end end = {0};
    struct io_loop *loop;
    int fds[2];

    assert_int_equal(io_loop_new(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(io_watch_new(loop, fds[0], on_events, &end, &end.watch), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    turns(loop, 2);
    assert_int_equal(end.calls, 0); /* not before it is asked for */
    assert_int_equal(io_watch_set(end.watch, IO_READ), 0);
    turns(loop, 2);
    assert_int_equal(end.calls, 2);
    assert_int_equal(end.reported, IO_READ);
    assert_int_equal(io_watch_set(end.watch, IO_WRITE), 0);
    turns(loop, 1);
    assert_int_equal(end.reported, IO_WRITE);
    assert_int_equal(io_watch_set(end.watch, IO_READ | IO_WRITE), 0);
    assert_int_equal(io_watch_set(end.watch, IO_READ | IO_WRITE), 0);
    turns(loop, 1);
    assert_int_equal(end.reported, IO_READ | IO_WRITE);
    assert_int_equal(io_watch_set(end.watch, 0), 0);
    end.calls = 0;
    turns(loop, 2);
    assert_int_equal(end.calls, 0);
    /* The other side's end is something to read. */
    assert_int_equal(io_watch_set(end.watch, IO_READ), 0);
    close(fds[1]);
    turns(loop, 1);
    assert_int_equal(end.reported & IO_READ, IO_READ);
    io_watch_free(end.watch);
    io_watch_free(NULL);
    close(fds[0]); /* not the watch's */
    io_loop_free(loop);
}

/* The kernel has no memory for one more. */
static bool adding_fails;

int __real_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout);

int __wrap_event_add(struct event *event, const struct timeval *timeout)
{
    return adding_fails ? -1 : __real_event_add(event, timeout);
}

/* A channel that only wanted to write, too, would be deaf else. */
static void what_was_reported_stays_so(void **state)
{
    struct pipe_end end = {0};
    struct io_loop *loop;
    int fds[2];

    assert_int_equal(io_loop_new(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(io_watch_new(loop, fds[0], on_events, &end, &end.watch), 0);
    assert_int_equal(io_watch_set(end.watch, IO_READ), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    adding_fails = true;
    assert_int_equal(io_watch_set(end.watch, IO_READ | IO_WRITE), -ENOMEM);
    adding_fails = false;
    turns(loop, 1);
    assert_int_equal(end.reported, IO_READ);
    assert_int_equal(io_watch_set(end.watch, IO_READ | IO_WRITE), 0);
    turns(loop, 1);
    assert_int_equal(end.reported, IO_READ | IO_WRITE);
    io_watch_free(end.watch);
    close(fds[0]);
    close(fds[1]);
    io_loop_free(loop);
}

/* A callback may free its own watch and another one, whose event is due in the same turn. */
static void watches_freed_in_a_callback(void **state)
{
    struct pipe_end a = {0}, b = {0};
    struct io_loop *loop;
    int fds[2];

    assert_int_equal(io_loop_new(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(io_watch_new(loop, fds[0], on_events, &a, &a.watch), 0);
    assert_int_equal(io_watch_new(loop, fds[1], on_events, &b, &b.watch), 0);
    a.free_too = b.watch;
    b.free_too = a.watch;
    assert_int_equal(io_watch_set(a.watch, IO_WRITE), 0);
    assert_int_equal(io_watch_set(b.watch, IO_WRITE), 0);
    turns(loop, 2);
    assert_int_equal(a.calls + b.calls, 1);
    close(fds[0]);
    close(fds[1]);
    io_loop_free(loop);
}

/* ---- timers ---- */

static void add_letter(void *arg)
{
    struct log *log = arg;
    buffer_append(&log->text, "t", 1);
}

/* The last turn begins behind the end, however long others had the processor. */
static void pass_ms(struct io_loop *loop, int64_t ms)
{
    int64_t end = clock_monotonic_ms() + ms;
    while (clock_monotonic_ms() <= end)
        assert_int_equal(io_loop_turn(loop), 0);
    turns(loop, 1);
}

static void timers_fire_once(void **state)
{
    struct log log = {0};
    struct io_timer *timer;

    assert_int_equal(io_loop_new(&log.loop), 0);
    assert_int_equal(io_timer_new(log.loop, add_letter, &log, &timer), 0);
    turns(log.loop, 2);
    assert_int_equal(log.text.size, 0);
    assert_int_equal(io_timer_set(timer, 0), 0);
    assert_int_equal(log.text.size, 0); /* not within the call */
    pass_ms(log.loop, 5);
    assert_span(buffer_span(&log.text), "t");
    assert_int_equal(io_timer_set(timer, -5000), 0);
    pass_ms(log.loop, 5);
    assert_span(buffer_span(&log.text), "tt");
    /* The last setting counts, whichever way it moves. */
    assert_int_equal(io_timer_set(timer, 1), 0);
    assert_int_equal(io_timer_set(timer, 3600000), 0);
    pass_ms(log.loop, 10);
    assert_span(buffer_span(&log.text), "tt");
    assert_int_equal(io_timer_set(timer, 1), 0);
    pass_ms(log.loop, 10);
    assert_span(buffer_span(&log.text), "ttt");
    assert_int_equal(io_timer_set(timer, 1), 0);
    io_timer_clear(timer);
    io_timer_clear(timer);
    pass_ms(log.loop, 10);
    assert_span(buffer_span(&log.text), "ttt");
    /* Deadlines of nobody's lifetime are no deadlines of now. */
    assert_int_equal(io_timer_set(timer, INT64_MAX / 2), 0);
    pass_ms(log.loop, 5);
    assert_span(buffer_span(&log.text), "ttt");
    io_timer_free(timer);
    io_timer_free(NULL);
    io_loop_free(log.loop);
    buffer_done(&log.text);
}

/* ---- the rest of a turn ---- */

static void raise_it(struct io_deferred *deferred)
{
    struct log *log = CONTAINER_OF(deferred, struct log, deferred);

    buffer_append(&log->text, "d", 1);
    io_loop_stop(log->loop);
}

static void signals_are_events(void **state)
{
    struct log log = {.deferred.fn = raise_it};
    struct io_watch *watch;

    assert_int_equal(io_loop_new(&log.loop), 0);
    assert_int_equal(io_signal_new(log.loop, SIGUSR1, add_letter, &log, &watch), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(log.text.size, 0); /* on the loop, not in a handler */
    pass_ms(log.loop, 5);
    assert_span(buffer_span(&log.text), "t");
    io_watch_free(watch);
    io_loop_free(log.loop);
    buffer_done(&log.text);
}

/* Work that was put off before the loop ran doesn't wait for an event, and may end it. */
static void a_loop_without_events(void **state)
{
    struct log log = {.deferred.fn = raise_it};

    assert_int_equal(io_loop_new(&log.loop), 0);
    io_defer(log.loop, &log.deferred);
    io_loop_stop(log.loop); /* before it runs it says nothing */
    pass_ms(log.loop, 0);
    assert_span(buffer_span(&log.text), "d");
    io_loop_free(log.loop);
    io_loop_free(NULL);
    buffer_done(&log.text);
}

/* What this process's epoll instances watch. */
static unsigned registered(void)
{
    DIR *fds = opendir("/proc/self/fdinfo");
    struct dirent *entry;
    unsigned count = 0;

    assert_non_null(fds);
    while ((entry = readdir(fds))) {
        char path[300], line[200];
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", entry->d_name);
        FILE *info = fopen(path, "r");
        while (info && fgets(line, sizeof(line), info))
            count += strncmp(line, "tfd:", 4) == 0;
        if (info)
            fclose(info);
    }
    closedir(fds);
    return count;
}

/* As a listener, that other processes have as well: its events would come for ever. */
static void what_is_closed_here_and_open_elsewhere_is_not_watched(void **state)
{
    struct io_loop *loop;
    struct io_watch *watch;
    int fds[2];

    assert_int_equal(io_loop_new(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    turns(loop, 1);
    unsigned before = registered();
    int elsewhere = dup(fds[0]);
    assert_int_equal(io_watch_new(loop, fds[0], on_read, NULL, &watch), 0);
    assert_int_equal(io_watch_set(watch, IO_READ), 0);
    turns(loop, 1);
    assert_int_equal(registered(), before + 1);
    io_watch_free(watch);
    close(fds[0]);
    turns(loop, 2);
    assert_int_equal(registered(), before);
    close(elsewhere);
    close(fds[1]);
    io_loop_free(loop);
}

/* All that happens in a turn happens at one time. */
static void a_turn_has_one_time(void **state)
{
    struct io_loop *loop;

    assert_int_equal(io_loop_new(&loop), 0);
    int64_t first = io_loop_now_ms(loop), real = clock_monotonic_ms();
    while (clock_monotonic_ms() < real + 5)
        assert_int_equal(io_loop_now_ms(loop), first);
    turns(loop, 1);
    assert_true(io_loop_now_ms(loop) >= real + 5);
    io_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_reported),
        cmocka_unit_test(what_was_reported_stays_so),
        cmocka_unit_test(watches_freed_in_a_callback),
        cmocka_unit_test(timers_fire_once),
        cmocka_unit_test(signals_are_events),
        cmocka_unit_test(a_loop_without_events),
        cmocka_unit_test(a_turn_has_one_time),
        cmocka_unit_test(order_of_a_turn),
        cmocka_unit_test(late_work_waits_for_all_other),
        cmocka_unit_test(what_is_closed_here_and_open_elsewhere_is_not_watched)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
