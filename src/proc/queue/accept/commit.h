/*
 * One COMMIT of an smtpd, or a report of our own, on its way to the disk.
 *
 *   BEGUN
 *     ▼
 *   EXPANDING ──all answered──▶ (the spool) ──▶ SEALING ──▶ answered, freed
 *       │                        ▲   │  └── it refuses the message: answered, freed
 *       │                   room │   │ no room
 *       │                      WAITING
 *       └── an alias can't be expanded now: answered "deferred", freed
 *
 * Whose smtpd goes is freed, but in SEALING: the spool has its pointer then, and it ends by itself.
 *
 * WAITING: the spool has more pending than it takes. The frame's credit is kept back until the
 * answer, so a slow disk slows smtpd and its clients.
 */
#pragma once

#include "proc/queue/accept/known.h"
#include "proc/queue/accept/peer.h"

enum commit_state { COMMIT_BEGUN, COMMIT_EXPANDING, COMMIT_WAITING, COMMIT_SEALING };

struct commit {
    struct list link;      /* among its peer's; not linked when the peer is gone */
    struct list room_link; /* while WAITING: in the waiting room */
    enum commit_state state;
    struct queue *queue;
    struct queue_peer *peer; /* NULL: gone, or a message of our own */
    bool own;                /* such a one: nobody counts it as received */
    /* A message of our own: who is told. NULL: nobody any more. */
    void (*answered)(void *arg, enum ipc_commit_result result);
    void *arg;
    uint64_t token;
    uint64_t upload; /* its number, 0: the body is inline */
    size_t held_bytes;
    struct parcel *parcel;
    /* EXPANDING */
    void (*expanded)(struct commit *commit, int error); /* not 0: it can't be now */
    struct ipc_call call;
    size_t next_recipient;
    struct known known; /* who gets it so far; from the first alias on */
};

/* expand.c: asks the directory for each recipient that expands; then calls `expanded`. One of which
 * all are there already stays as it is, as does who is named a second time: when its turn comes it
 * is closed as a duplicate (carry/job.c). */
void commit_expand(struct commit *commit);

/* intake.c: a message of our own with an inline body. 0 or -errno: then `answered` won't be called;
 * it isn't either when the queue ends first. */
int commit_own(struct queue *q, struct span envelope, struct span body,
               void (*answered)(void *arg, enum ipc_commit_result result), void *arg);
