/*
 * A process that carries mail away: the mailbox process, or an smtp process. Each has a lane of the
 * scheduler and jobs of its own, so that trouble of one is none of the others.
 */
#pragma once

#include "base/numbers.h"
#include "ipc/channel.h"
#include "proc/queue/route.h"

struct queue;

enum {
    CARRIER_MAILBOX = 0,
    CARRIER_SMTP = 1, /* the first of these */
    CARRIERS = CARRIER_SMTP + IPC_SMTP_PROCESSES,
    LANE_RETURN = CARRIERS, /* no process: what an administrator sends back */
};

/* Jobs under way. Those of the mailbox wait for the disk, those of smtp for strangers far away. */
enum { MAILBOX_JOBS_MAX = 1024, SMTP_JOBS_MAX = 4096 };

struct carrier {
    struct queue *queue;
    struct ipc_channel *channel; /* NULL: it isn't there */
    struct ipc_waiter credit;
    struct list blocked;     /* jobs that wait for credit, in order */
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

void carrier_init(struct carrier *carrier, struct queue *q, unsigned number);
/* A channel to it, new or anew; owns `fd` unless it fails. 0 or -errno. */
int carrier_connect(struct carrier *carrier, int fd);
/* Waits for no job any more: all go back, booked as uncertain. */
void carrier_abandon(struct carrier *carrier);
bool carrier_is_mailbox(const struct carrier *carrier);
/* It can take a job now. */
bool carrier_is_open(const struct carrier *carrier);
/* Its blocked jobs go again when there is credit. */
void carrier_wait(struct carrier *carrier);

/* Who carries on this way: its number, which is also its lane. Always the same for one next hop, so
 * that its connections are used again. */
unsigned carrier_of(const struct route *route);
