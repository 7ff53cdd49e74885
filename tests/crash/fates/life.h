/*
 * One life: the real queue on a `sim` disk, between processes that are played, in simulated time.
 * Everything runs in one thread and by one seed. It dies and is started again many times, and all
 * that those around it wrote down must fit together (notes.h).
 *
 *   senders.c ──commits──▶ queue ──jobs──▶ carriers.c
 *   admin.c ───── acts ──▶   │ ──reports──▶ senders.c
 *                            ▼ sealed
 *                          log.c       judge.c: what must hold when nothing is under way
 */
#pragma once

#include "../../unit/proc/queue/world.h"
#include "notes.h"
#include "spool/follow.h"
#include "store_sim.h"

enum { CARRIERS_PLAYED = 1 + IPC_SMTP_PROCESSES };

struct fates_statistics {
    uint64_t steps, sent, accepted, attempts, delivered, returned, discarded, removed, acts;
    uint64_t reports, crashes, ends, faulty, doubled;
};

/* A body that goes to the queue in pieces. */
struct upload {
    uint64_t number; /* 0: the place is free */
    size_t size, sent;
};

enum { UPLOADS = 3, LIVES_MAX = 32 };

struct sent;
struct asked;

struct life {
    struct prng prng;
    struct notes notes;
    struct store_sim *disk;
    struct world *world;
    struct fates_statistics statistics;
    bool verbose;
    unsigned number;        /* counts the starts of the process */
    bool broken[LIVES_MAX]; /* which of them crashed, or had a disk that failed: what was refused
                               may be there */
    unsigned turns;
    bool runs, faulty, was_faulty; /* the disk fails now, or did since the start */
    unsigned slowness;             /* of 10,000 turns, in how many the disk does nothing */

    unsigned channels;                    /* counts those to carriers that were joined */
    unsigned channel_of[CARRIERS_PLAYED]; /* 0: it isn't there */
    enum { MOOD_GOOD, MOOD_MIXED, MOOD_BAD, MOOD_SILENT } mood;

    struct list sent, asked; /* commits and acts without an answer */
    struct upload uploads[UPLOADS];
    uint64_t uploads_begun;

    struct spool_follower *follower;
    struct spool_position at; /* the log is known up to here */
};

void life_begin(struct life *life, uint64_t seed, unsigned mutants, bool verbose);
void life_free(struct life *life);
void life_start(struct life *life);
/* The process dies now. */
void life_crash(struct life *life, bool power_cut);
/* It is told to end, and does. */
void life_end(struct life *life);
void life_turn(struct life *life);
/* Until nothing is under way, and no time passes but that which work takes. */
void life_rest(struct life *life);
void life_pass(struct life *life, int64_t ms);
/* Another way for some domains, by chance, or the usual one for all. */
void life_reconfigure(struct life *life);
void life_set_faults(struct life *life, bool on);
void life_say(struct life *life, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool life_failed(const struct life *life)
{
    return life->notes.failure[0] != '\0';
}

/* senders.c */
void senders_join(struct life *life);
void senders_leave(struct life *life);
void senders_send(struct life *life);
/* A piece of a large body, or its end. */
void senders_upload(struct life *life);
/* What was answered is written down. */
void senders_look(struct life *life);
void senders_join_report(struct life *life);
void senders_leave_report(struct life *life);

/* carriers.c */
void carriers_join(struct life *life, unsigned which);
void carriers_leave(struct life *life, unsigned which);
/* Some of those they were silent about. */
void carriers_answer(struct life *life, bool all);
/* Whoever has it is there still, so the queue will hear what comes of it. */
bool carriers_may_answer(const struct life *life, const struct attempt *attempt);
/* Nothing is under way: what was answered was heard. */
void carriers_were_heard(struct life *life);

/* admin.c */
void admin_join(struct life *life);
void admin_leave(struct life *life);
/* Something is asked for, or nothing when there is nobody to ask. */
void admin_act(struct life *life);
/* For all mail of all senders. */
void admin_act_on_all(struct life *life, enum ipc_queue_act_kind kind);
bool admin_is_waiting(const struct life *life);
/* The log has all acts on him that were said to be done. */
bool admin_is_obeyed(const struct fate *fate);

/* log.c */
/* Up to what is sealed. */
void log_read(struct life *life);
void log_close(struct life *life);
/* The book has all that was read, and says so. */
void log_fold(struct life *life);

/* judge.c */
/* A recipient is attempted: may he be? */
void judge_attempt(struct life *life, const struct letter *letter, uint32_t index);
/* The process has ended as it was told to. */
void judge_end(struct life *life);
/* The queue is empty. */
void judge_all(struct life *life);
