/* All reports to be, and what came of those before them. */
#pragma once

#include "base/log.h"
#include "ipc/channel.h"
#include "proc/queue/core/queue.h"

enum {
    RETURNS_BUSY_MAX = 64, /* being read, written or kept at the same time */
    RETURNS_BUCKETS = 4096,
    RETURNS_KEPT_BUCKETS = 1024,
};

struct returns_tally {
    uint32_t all, resting;
};

struct returns {
    /* struct undelivered, by their states: */
    struct list gathering, expecting, under_way, resting;
    struct list buckets[RETURNS_BUCKETS]; /* all, by message and kind, the newest first */
    struct list kept;                     /* struct kept, the oldest first */
    struct list kept_buckets[RETURNS_KEPT_BUCKETS];
    size_t kept_count;
    uint64_t seed;
    struct ipc_channel *report; /* NULL: the process isn't there */
    struct io_deferred kick;
    struct log_seldom forgotten;
    struct id_maker ids;
    uint32_t count, busy;
    struct returns_tally failed, delayed;
    struct returns_tally receipts; /* they keep the process at its end for a while */
    size_t bytes;                  /* that those that failed take, nearly */
    int64_t ended_ms;              /* the last that was told of, or needn't be */
    size_t scan;                   /* of delay.c, as what follows: */
    int64_t clock_ahead_us;        /* of the one since the boot, at the last look */
    int64_t set_forward_us;        /* when the clock was, by itself; 0: never */
    bool has_looked;
    uint64_t returned, double_bounces; /* recipients, since the start */
    uint64_t notified, receipted;
};
