/*
 * The event loop of a process: descriptors, timers, work put off to the end of a turn, and threads
 * for what blocks. The only user of libevent. One loop a process, one thread runs it; all callbacks
 * run on that thread.
 *
 * A turn: wait for events, run their callbacks, then run what was put off (io_defer). Output that
 * many callbacks of a turn produced is so written once, at its end.
 *
 * Constructors return 0 or -errno with the object in *out.
 */
#pragma once

#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct io_loop;
struct io_watch;
struct io_timer;

int io_loop_new(struct io_loop **out);
/* NULL is fine. All watches, timers and pools must be freed before. */
void io_loop_free(struct io_loop *loop);
/* Runs until io_loop_stop(). 0, or -EIO when the kernel's poll failed. */
int io_loop_run(struct io_loop *loop);
/* Runs what is due now without waiting, and what was put off (tests). 0 or -EIO. */
int io_loop_turn(struct io_loop *loop);
/* May be called in a callback; the turn is finished first. */
void io_loop_stop(struct io_loop *loop);
/* Monotonic milliseconds, asked once a turn: all callbacks of a turn see the same time. */
int64_t io_loop_now_ms(struct io_loop *loop);

/* A descriptor, level-triggered. Freeing the watch does not close the descriptor. */
enum io_events { IO_READ = 1, IO_WRITE = 2 };
/* `events` of enum io_events: what is there to do. It may free the watch. */
typedef void io_watch_fn(void *arg, int fd, unsigned events);

/* Reports nothing before io_watch_set(). `fd` stays the caller's. */
int io_watch_new(struct io_loop *loop, int fd, io_watch_fn *fn, void *arg, struct io_watch **out);
/* Which events to report from now on; 0: none, as after io_watch_new(), which never fails. 0 or
 * -ENOMEM: then those of before are reported on. Cheap when nothing changes. */
int io_watch_set(struct io_watch *watch, unsigned events);
/* NULL is fine. Must come before the descriptor is closed: the kernel may give its
 * number to another. */
void io_watch_free(struct io_watch *watch);

/* A one-shot timer; setting it again replaces the old time. */
typedef void io_timer_fn(void *arg);

int io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out);
/* Fires once, `after_ms` from now, never within this call; a negative time is now. 0 or -ENOMEM. */
int io_timer_set(struct io_timer *timer, int64_t after_ms);
/* It won't fire; does nothing when it wasn't set. */
void io_timer_clear(struct io_timer *timer);
/* NULL is fine. */
void io_timer_free(struct io_timer *timer);

/* A signal, handled on the loop like any event, so `fn` may do what a signal handler may not. At
 * most one handler a signal. Freed with io_watch_free(). */
int io_signal_new(struct io_loop *loop, int signal_number, io_timer_fn *fn, void *arg,
                  struct io_watch **out);

/* Work for the end of this turn; embedded in its owner, in at most one list. Putting it off twice
 * in a turn runs it once; cancel it before its owner goes away. */
struct io_deferred {
    struct list link;
    void (*fn)(struct io_deferred *deferred);
};

void io_defer(struct io_loop *loop, struct io_deferred *deferred);
/* Runs when all else that was put off in this turn has run: for what nobody waits for. */
void io_defer_late(struct io_loop *loop, struct io_deferred *deferred);
/* Does nothing when it wasn't put off. */
void io_defer_cancel(struct io_deferred *deferred);
