/* What the book is told of the log, and tells of it. */
#pragma once

#include "proc/queue/core/queue.h"

struct feed_waiter {
    struct list link;
    struct spool_position position;
    void (*fn)(struct feed_waiter *waiter, int error);
};

struct feed {
    struct ipc_channel *book;
    struct io_timer *timer;
    int64_t sent_ms;
    struct spool_position sent, folded;
    struct list waiters;
};

/* 0 or -errno. */
int feed_init(struct queue *q);
void feed_done(struct queue *q);
/* A channel to the book, new or anew; owns `fd` unless it fails. 0 or -errno. */
int feed_book(struct queue *q, int fd);
/* Something was sealed. */
void feed_sealed(struct queue *q);
/* Calls `fn` once, when all that is sealed now was folded, or with -EPIPE when the book goes away;
 * perhaps before this returns. The waiter is the caller's, embedded. */
void feed_wait(struct queue *q, struct feed_waiter *waiter);
/* `fn` isn't called any more. One that doesn't wait is fine. */
void feed_wait_cancel(struct feed_waiter *waiter);
