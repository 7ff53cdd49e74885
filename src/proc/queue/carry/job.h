/*
 * A job: one message on its way to a carrier, for one or several of its recipients.
 *
 *   NEW, BLOCKED, EARLY ──bytes in memory──▶ send ──▶ RUNNING ──result──▶ booked, freed
 *        │        ▲   │                       ▲  │
 *        └────────┘   └─not in memory──▶ LOADING ├──no credit──▶ BLOCKED
 *                                                └──much is under way──▶ OFFERED
 *
 *   EARLY goes sooner than the log says: that it does is written there first (schedule_doubt()).
 *   OFFERED ──wanted──▶ RUNNING; LOADING and then RUNNING when the body isn't in memory
 *
 * An OFFERED job has gone without its body (carrier.h): nothing can have been delivered.
 * BLOCKED waits in the carrier's order for credit, or for memory, and then begins anew; so does
 * RUNNING when only the next piece of the body found none, and then goes on with that.
 * A carrier that has the job may answer in any state. When its channel is lost, RUNNING is booked
 * as uncertain, all else as not tried, and the recipients are scheduled again.
 * While RUNNING the body of a large message is streamed: a chunk is read on a thread and sent, and
 * the next one read while the carrier takes it.
 */
#pragma once

#include "proc/queue/carry/carrier.h"
#include "proc/queue/carry/load.h"
#include "proc/queue/carry/outcome.h"

enum job_state { JOB_NEW, JOB_EARLY, JOB_LOADING, JOB_BLOCKED, JOB_OFFERED, JOB_RUNNING };

struct job {
    struct list link; /* among the carrier's blocked or all others */
    struct list by_number;
    struct queue *queue;
    struct carrier *carrier;
    struct span next_hop;          /* kept behind the items */
    struct spool_message *message; /* stays: its recipients have no outcome yet */
    enum job_state state;          /* job.c: move_to() */
    bool over;                     /* booked; only waits for the thread, or the seal */
    bool announced;                /* that it goes early is on its way to the disk */
    struct settlement *settlement; /* of its outcome; NULL: booked */
    struct ipc_call call;
    uint64_t number;
    uint32_t inline_bytes; /* of the body, gone with the job */

    struct job_load disk; /* what isn't in memory */
    bool chunk_ready;     /* behind a piece that went before; waits until that is taken */
    struct ipc_call chunk_call;

    uint32_t count;
    struct job_item items[];
};

/* Takes charge of active items of one message. 0 or -ENOMEM: then nothing happened. */
int job_start(struct queue *q, const struct route *route, const struct job_item *items,
              uint32_t count);
/* What carriers tell of jobs. */
extern const struct carrier_user job_user;
