/*
 * The queue: takes responsibility for messages, decides when each recipient is attempted, and knows
 * why each still waits. The only writer of the spool.
 *
 *   smtpd ──COMMIT, chunks──▶ intake, upload ──▶ parcel (bytes in memory) ──▶ spool_accept
 *                              └─ expand ──▶ directory                           │
 *   ◀──── COMMITTED ─────────────────────────────────── sealed ◀── committer ◀───┘
 *                                                          │ added
 *   carrier ◀── job ◀── dispatch ◀── sched ◀───────────────┘
 *          ──result──▶ settle ──▶ spool_status ──▶ committer; outcomes go before new bodies
 *   book ◀──sealed position── feed ◀── folded position
 *
 * All of it runs on one loop. Nothing blocks there, but a group of one message on a quick disk
 * (committer.c): groups are written on a thread of their own, spool tasks and reads of stored
 * messages on a few others.
 *
 * This is the ground that all rooms stand on. Rooms call what lies below them and are called back:
 *
 *   life ──▶ smtpd ──▶ intake ──▶ expand, upload
 *    ├──▶ dispatch ──▶ job ──▶ outcome ──▶ return, settle ──▶ schedule
 *    ├──▶ return ──▶ write ──▶ book ──▶ settle;  write ──▶ intake
 *    ├──▶ control ──▶ act, list, preview, summary ──▶ walk ──▶ schedule;  control ──▶ feed, overdue
 *    └──▶ feed, overdue;  all of them ──▶ committer, kick, parcel, route, lane
 */
#pragma once

#include "conf/part.h"
#include "ipc/channel.h"
#include "proc/queue/core/committer.h"
#include "proc/queue/core/parcel.h"
#include "proc/queue/core/random.h"
#include "proc/queue/core/tickets.h"
#include "sched/sched.h"

struct queue {
    struct io_loop *loop;
    struct ipc_channel *supervisor; /* borrowed; NULL in tests */
    const struct conf_queue *conf;  /* in force; borrowed */
    struct spool *spool;
    struct sched *sched;
    struct io_pool *commit_pool, *work_pool;
    struct io_timer *tick;
    struct parcels parcels;
    size_t aged_bytes; /* of parcels, freed since memory was given back */
    struct committer committer;
    struct io_deferred dispatch_kick; /* kick.h */
    struct list peers;                /* struct queue_peer */
    struct list origins;              /* struct queue_origin */
    struct tickets tickets;
    int64_t started_ms;       /* wall clock */
    struct list own_commits;  /* of messages that we make ourselves: reports */
    struct list waiting_room; /* commits that the spool had no room for */
    struct list unsettled;    /* outcomes that the disk refused or no memory was for, in order */
    uint32_t settling;        /* outcomes on their way to the disk */
    uint64_t settlements;     /* since the start: numbers them */
    struct ipc_channel *directory;
    uint64_t accepted, rejected, deferred; /* messages, since the start */
    struct queue_random random;
    uint64_t routes;                 /* route_fingerprint() of those in force */
    bool closing;                    /* takes no new mail, starts no new job */
    int64_t closing_ms;              /* since when */
    void (*closed)(struct queue *q); /* all that was under way has ended */

    /* What belongs to one room each: who uses it includes that room's header. */
    struct queue_rooms *rooms; /* life.c: all but the last of these */
    struct pressure *pressure;
    struct events *events;
    struct dispatch *dispatch;
    struct returns *returns;
    struct feed *feed;
    struct overdue *overdue;
    struct schedule *schedule;
    struct control *control; /* NULL: there is no control socket */
};
