/*
 * A process that carries mail away: the mailbox process, or an smtp process. Each has jobs of its
 * own.
 */
#pragma once

#include "base/numbers.h"
#include "ipc/channel.h"
#include "proc/queue/core/lane.h"

struct queue;

struct carrier;

/* Whose jobs these are; `link` is that of a job in `blocked` or `jobs`. */
struct carrier_user {
    /* There may be credit again. */
    void (*retry)(struct list *link);
    /* The carrier is gone, or we end. */
    void (*lose)(struct list *link);
    /* A station is there: the body of this job may go. */
    void (*wanted)(struct carrier *carrier, uint64_t number);
};

struct carrier {
    struct queue *queue;
    unsigned lane;
    const struct carrier_user *user;
    struct ipc_channel *channel; /* NULL: it isn't there */
    bool stopped;                /* it is about to end, and is given no job any more */
    struct ipc_waiter credit;
    struct list blocked;     /* jobs that wait for credit or memory, in order */
    struct list jobs;        /* all others */
    struct numbers numbered; /* blocked or not */
    uint32_t job_count, jobs_max;
    uint32_t inline_bytes; /* of bodies that it was given with jobs under way */
};

/*
 * A carrier is given so many bytes of bodies with its jobs at once; beyond that a job goes without
 * its body, which follows when a station is there. So stations that don't answer can't fill the
 * channel with bodies that nobody takes.
 */
enum { CARRIER_INLINE_MAX = IPC_BODY_WINDOW / 2 };

/* Without a channel: its jobs wait in the scheduler until carrier_connect(). */
void carrier_init(struct carrier *carrier, struct queue *q, unsigned lane,
                  const struct carrier_user *user);
/* A channel to it, new or anew; owns `fd` unless it fails. 0 or -errno. */
int carrier_connect(struct carrier *carrier, int fd);
/* Waits for no job any more: those that were answered are booked so, all others go back as
 * uncertain. */
void carrier_abandon(struct carrier *carrier);
bool carrier_is_mailbox(const struct carrier *carrier);
/* It can take a job now. */
bool carrier_is_open(const struct carrier *carrier);
/* It may be given jobs: it is there, and isn't about to end. */
bool carrier_takes_jobs(const struct carrier *carrier);
/* Its blocked jobs go again when there is credit. */
void carrier_wait(struct carrier *carrier);
/* They go again now: of memory that is there again nobody tells. */
void carrier_retry(struct carrier *carrier);
