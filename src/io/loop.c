/*
 * libevent wrapped: what is an event there is a watch, a signal or a timer here. Deferred work is
 * our own, since libevent has no end of a turn.
 */
#include "io/loop.h"

#include "base/clock.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

struct io_loop {
    struct event_base *base;
    struct list deferred, late;
    bool stopping;
    int64_t now_ms; /* 0: not asked in this turn */
};

struct io_watch {
    struct io_loop *loop;
    struct event *event; /* is added when `events` isn't 0 */
    struct event *next;  /* takes its place with other events; a signal has none */
    int fd;
    unsigned events;
    io_watch_fn *fn;
    io_timer_fn *signal_fn;
    void *arg;
};

struct io_timer {
    struct io_loop *loop;
    struct event *event;
    io_timer_fn *fn;
    void *arg;
};

int io_loop_new(struct io_loop **out)
{
    struct io_loop *loop = calloc(1, sizeof(*loop));
    struct event_config *config = event_config_new();
    int r = -ENOMEM;

    if (loop && config) {
        /* One thread runs the loop: no locks. Threads of a pool report through a descriptor. */
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        /* Nor EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST: the kernel would hear of a watch that ended
         * only in the next turn. What was closed meanwhile, but is open in another process as
         * listeners are, would stay registered and wake us for ever. */
        loop->base = event_base_new_with_config(config);
    }
    if (config)
        event_config_free(config);
    if (loop && loop->base) {
        list_init(&loop->deferred);
        list_init(&loop->late);
        *out = loop;
        r = 0;
    } else {
        free(loop);
    }
    return r;
}

void io_loop_free(struct io_loop *loop)
{
    if (!loop)
        return;
    event_base_free(loop->base);
    free(loop);
}

/* Asked once a turn: all that happens in a turn happens at one time, and a thousand sessions cost
 * one look at the clock. */
int64_t io_loop_now_ms(struct io_loop *loop)
{
    if (!loop->now_ms)
        loop->now_ms = clock_monotonic_ms();
    return loop->now_ms;
}

static void run_deferred(struct io_loop *loop)
{
    struct list *link;

    /* What is put off here runs in this turn too; owners put off only what ends. */
    while ((link = list_take_first(&loop->deferred)) || (link = list_take_first(&loop->late))) {
        struct io_deferred *deferred = CONTAINER_OF(link, struct io_deferred, link);
        deferred->fn(deferred);
    }
}

/* One round of libevent's loop. The time is asked anew only when someone wants to know it. */
static int turn(struct io_loop *loop, int flags)
{
    loop->now_ms = 0;
    if (event_base_loop(loop->base, EVLOOP_ONCE | flags) < 0)
        return -EIO;
    run_deferred(loop);
    return 0;
}

/* What was put off before counts as of this turn. */
int io_loop_turn(struct io_loop *loop)
{
    run_deferred(loop);
    return turn(loop, EVLOOP_NONBLOCK);
}

/* Work that was put off before the loop ran must not wait for the first event. */
int io_loop_run(struct io_loop *loop)
{
    int r = 0;

    loop->stopping = false;
    run_deferred(loop);
    while (!loop->stopping && r == 0)
        r = turn(loop, EVLOOP_NO_EXIT_ON_EMPTY);
    return r;
}

void io_loop_stop(struct io_loop *loop)
{
    loop->stopping = true;
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct io_watch *watch = arg;

    if (watch->signal_fn)
        watch->signal_fn(watch->arg);
    else
        watch->fn(watch->arg, fd,
                  (what & EV_READ ? IO_READ : 0u) | (what & EV_WRITE ? IO_WRITE : 0u));
}

int io_watch_new(struct io_loop *loop, int fd, io_watch_fn *fn, void *arg, struct io_watch **out)
{
    struct io_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return -ENOMEM;
    *watch = (struct io_watch){.loop = loop, .fd = fd, .fn = fn, .arg = arg};
    watch->event = event_new(loop->base, fd, EV_PERSIST, on_watch, watch);
    watch->next = event_new(loop->base, fd, EV_PERSIST, on_watch, watch);
    if (!watch->event || !watch->next) {
        io_watch_free(watch);
        return -ENOMEM;
    }
    *out = watch;
    return 0;
}

/* event_assign() may only be called on an event that isn't added. */
static int add_next(struct io_watch *watch, unsigned events)
{
    short what =
        (short)(EV_PERSIST | (events & IO_READ ? EV_READ : 0) | (events & IO_WRITE ? EV_WRITE : 0));

    if (event_assign(watch->next, watch->loop->base, watch->fd, what, on_watch, watch) < 0 ||
        event_add(watch->next, NULL) < 0)
        return -ENOMEM;
    return 0;
}

/* Events that stay the same cost nothing: callers set what they want each turn without remembering
 * what they had. The new ones are added before the old ones go, so the kernel never forgets the
 * descriptor, which it would need memory for to know it again, and hears of the difference only. */
int io_watch_set(struct io_watch *watch, unsigned events)
{
    struct event *old = watch->event;

    if (events == watch->events)
        return 0;
    if (events && add_next(watch, events) < 0)
        return -ENOMEM;
    if (watch->events)
        event_del(old);
    if (events) {
        watch->event = watch->next;
        watch->next = old;
    }
    watch->events = events;
    return 0;
}

void io_watch_free(struct io_watch *watch)
{
    if (!watch)
        return;
    if (watch->event)
        event_free(watch->event);
    if (watch->next)
        event_free(watch->next);
    free(watch);
}

/* Not in the handler's own context: libevent turns the signal into an event of the loop. */
int io_signal_new(struct io_loop *loop, int signal_number, io_timer_fn *fn, void *arg,
                  struct io_watch **out)
{
    struct io_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return -ENOMEM;
    *watch = (struct io_watch){.loop = loop, .fd = -1, .signal_fn = fn, .arg = arg};
    watch->event = evsignal_new(loop->base, signal_number, on_watch, watch);
    if (!watch->event || event_add(watch->event, NULL) < 0) {
        io_watch_free(watch);
        return -ENOMEM;
    }
    *out = watch;
    return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct io_timer *timer = arg;
    timer->fn(timer->arg);
}

int io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out)
{
    struct io_timer *timer = calloc(1, sizeof(*timer));

    if (!timer)
        return -ENOMEM;
    *timer = (struct io_timer){.loop = loop, .fn = fn, .arg = arg};
    timer->event = evtimer_new(loop->base, on_timer, timer);
    if (!timer->event) {
        free(timer);
        return -ENOMEM;
    }
    *out = timer;
    return 0;
}

int io_timer_set(struct io_timer *timer, int64_t after_ms)
{
    if (after_ms < 0)
        after_ms = 0;
    struct timeval after = {.tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000};
    return event_add(timer->event, &after) < 0 ? -ENOMEM : 0;
}

void io_timer_clear(struct io_timer *timer)
{
    event_del(timer->event);
}

void io_timer_free(struct io_timer *timer)
{
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}

/* Once, however often it is asked for until it runs: that is what makes a turn of many events one
 * piece of work. */
void io_defer(struct io_loop *loop, struct io_deferred *deferred)
{
    if (!list_is_linked(&deferred->link))
        list_append(&loop->deferred, &deferred->link);
}

void io_defer_late(struct io_loop *loop, struct io_deferred *deferred)
{
    if (!list_is_linked(&deferred->link))
        list_append(&loop->late, &deferred->link);
}

void io_defer_cancel(struct io_deferred *deferred)
{
    list_remove(&deferred->link);
}
