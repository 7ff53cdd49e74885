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
/* Runs what is due now without waiting (tests). */
int io_loop_turn(struct io_loop *loop);
void io_loop_stop(struct io_loop *loop);
/* Monotonic milliseconds, asked once a turn. */
int64_t io_loop_now_ms(struct io_loop *loop);

/* A descriptor, level-triggered. Freeing the watch does not close the descriptor. */
enum io_events { IO_READ = 1, IO_WRITE = 2 };
typedef void io_watch_fn(void *arg, int fd, unsigned events);

int io_watch_new(struct io_loop *loop, int fd, io_watch_fn *fn, void *arg, struct io_watch **out);
/* Which events to report from now on; 0: none. 0 or -errno. */
int io_watch_set(struct io_watch *watch, unsigned events);
void io_watch_free(struct io_watch *watch);

/* A one-shot timer; setting it again replaces the old time. */
typedef void io_timer_fn(void *arg);

int io_timer_new(struct io_loop *loop, io_timer_fn *fn, void *arg, struct io_timer **out);
int io_timer_set(struct io_timer *timer, int64_t after_ms);
void io_timer_clear(struct io_timer *timer);
void io_timer_free(struct io_timer *timer);

/* A signal. At most one handler a signal. */
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
void io_defer_cancel(struct io_deferred *deferred);
