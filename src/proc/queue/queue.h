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
 */
#pragma once

#include "conf/part.h"
#include "io/pool.h"
#include "ipc/channel.h"
#include "mail/event.h"
#include "proc/queue/accept/committer.h"
#include "proc/queue/accept/tickets.h"
#include "proc/queue/carry/carrier.h"
#include "proc/queue/carry/kick.h"
#include "proc/queue/carry/parcel.h"
#include "proc/queue/random.h"
#include "proc/queue/returns/return.h"
#include "sched/sched.h"
#include "spool/spool.h"

enum { QUEUE_TICK_MS = 1000 };

struct queue;
struct queue_peer; /* an smtpd: peer.h */
struct control;

/* ---- accept/intake.c, expand.c: commits ---- */

void intake_commit(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* There may be room again in the spool. */
void intake_resume(struct queue *q);
/* All that the peer has under way: it is gone. */
void intake_drop_peer(struct queue_peer *peer);
/* Our own: we end. */
void intake_drop_own(struct queue *q);

/* ---- schedule.c: between the spool's rows and the scheduler's items ---- */

/* A message that came is scheduled; what can't be now is by the tick. */
void schedule_added(struct queue *q, struct spool_message *message);
/* The spool's hooks; arg is the queue. */
void schedule_changed(void *arg, struct spool_recipient *recipient);
void schedule_gone(void *arg, struct spool_message *message);
/* Schedules every waiting recipient that isn't: at start, and after memory was short. 0 or -errno.
 */
int schedule_all(struct queue *q);
/* Routes have changed: what now goes another way goes at once. 0 or -errno. */
int schedule_reroute(struct queue *q);
/* It goes another way now: at once, unless it is held. 0 or -errno; then the tick tries again. */
int schedule_again(struct queue *q, struct spool_recipient *recipient);
/* The item of a recipient; 0 when it has none. */
uint32_t schedule_item(const struct spool_recipient *recipient);
/* It has its outcome, which is on its way to the disk: never schedule it again. */
void schedule_close(struct spool_recipient *recipient);
int64_t schedule_wall_us(const struct queue *q, int64_t monotonic_ms);
struct sched_config schedule_config(const struct conf_queue *conf, uint64_t seed);

/* ---- carry/dispatch.c, carrier.c, job.c ---- */

struct dispatch {
    struct carrier carriers[CARRIERS];
    struct io_deferred kick;
    struct io_timer *timer;
    uint64_t last_number;
    uint64_t delivered, relayed, deferred, refused, uncertain, lost; /* recipients, since the start
                                                                      */
};

int dispatch_init(struct queue *q);
void dispatch_done(struct queue *q);
/* A channel to one that carries; owns `fd` unless it fails. 0 or -errno. */
int dispatch_connect(struct queue *q, unsigned carrier, int fd);
uint32_t dispatch_job_count(const struct queue *q);
/* Waits for no job any more: all go back, booked as uncertain. */
void dispatch_abandon(struct queue *q);

/* ---- carry/settle.c: outcomes onto the disk ---- */

/* Books what became of recipients of one message: copied, given again until it is sealed. */
void settle(struct queue *q, struct spool_message *message, const struct spool_status *statuses,
            size_t count);
/* There may be room again in the spool. */
void settle_resume(struct queue *q);
void settle_done(struct queue *q);

/* ---- feed.c: the book ---- */

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

int feed_init(struct queue *q);
void feed_done(struct queue *q);
int feed_book(struct queue *q, int fd);
/* Something was sealed. */
void feed_sealed(struct queue *q);
/* Calls `fn` when all that is sealed now was folded, or with -EPIPE when the book goes away. */
void feed_wait(struct queue *q, struct feed_waiter *waiter);
void feed_wait_cancel(struct feed_waiter *waiter);

/* ---- accept/pressure.c ---- */

struct pressure {
    bool defer;
    char text[160];
};

/* Looks whether new mail must be deferred, and tells every smtpd when that changes. */
void pressure_update(struct queue *q);
void pressure_tell(struct queue *q, struct queue_peer *peer);

/* ---- accept/refusals.c: what smtpd has for the book ---- */

struct events {
    uint64_t booked, dropped;
    uint32_t unbooked; /* dropped since the last aggregate */
    int64_t first_us;  /* of these */
};

void events_take(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* Once a second: books how many were dropped. */
void events_tick(struct queue *q);

/* ---- overdue.c: what should have gone on, but hasn't ---- */

struct overdue_suspect {
    struct id id;
    uint32_t index;
    uint16_t attempts;
    bool is_overdue; /* alarm was raised */
    uint8_t wait;    /* enum sched_wait; SCHED_WAIT_OUTCOME also without an item */
    int64_t since_ms;
};

struct overdue {
    int64_t grace_us;    /* how late the next event may be */
    int64_t patience_ms; /* how long it must have been seen so, without an attempt */
    int64_t pause_ms;    /* between two walks */
    int64_t next_ms;
    size_t cursor;
    struct overdue_suspect *before, *now; /* of the last whole walk, by id; of this one */
    size_t before_count, now_count;
    uint64_t count; /* overdue, as of the last whole walk */
};

void overdue_init(struct queue *q);
void overdue_done(struct queue *q);
/* Once a second: looks at a slice of all that wait, and raises the alarm at the end. */
void overdue_tick(struct queue *q);
/* The count and the first few, as members of a JSON object. */
void overdue_status(const struct queue *q, struct buffer *json);

/* ---- the queue ---- */

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
    struct dispatch dispatch;
    struct feed feed;
    struct pressure pressure;
    struct events events;
    struct returns returns;
    struct overdue overdue;
    struct control *control;
    struct list peers;   /* struct queue_peer */
    struct list origins; /* struct queue_origin */
    struct tickets tickets;
    int64_t started_ms;       /* wall clock */
    struct list own_commits;  /* of messages that we make ourselves: reports */
    struct list waiting_room; /* commits that the spool had no room for */
    struct list unsettled;    /* outcomes that the spool had no room for */
    uint32_t settling;        /* outcomes on their way to the disk */
    struct ipc_channel *directory;
    uint64_t accepted, rejected, deferred; /* messages, since the start */
    struct queue_random random;
    uint64_t routes;    /* route_fingerprint() of those in force */
    bool unscheduled;   /* a recipient could not be scheduled for lack of memory */
    int64_t crash_us;   /* when we started after a crash; 0: the last end was no crash */
    bool closing;       /* takes no new mail, starts no new job */
    int64_t closing_ms; /* since when */
    void (*closed)(struct queue *q); /* all that was under way has ended */
};

/* Starts the parts and their threads and opens nothing: the sandbox comes after. 0 or -errno. */
int queue_start(struct queue *q, struct io_loop *loop, const struct conf_queue *conf);
/* Opens the spool on `store` and schedules all that waits. 0 or -errno. */
int queue_open(struct queue *q, struct store *store);
int queue_reconfigure(struct queue *q, const struct conf_queue *conf);
/* A channel to a peer; owns `fd`. `origin`: of the ids that it makes. */
int queue_peer(struct queue *q, enum ipc_peer kind, unsigned index, uint16_t origin, int fd);
/* Ends what is under way, then calls `closed`. */
void queue_close(struct queue *q, void (*closed)(struct queue *q));
/* After `closed`: frees all. */
void queue_done(struct queue *q);
/* Members of a JSON object. */
void queue_status(const struct queue *q, struct buffer *json);
