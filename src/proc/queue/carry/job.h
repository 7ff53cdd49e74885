/*
 * A job: one message on its way to a carrier, for one or several of its recipients.
 *
 *   (new) ──bytes in memory──▶ RUNNING ──result──▶ booked, freed
 *     │                          ▲ │
 *     ├──not in memory──▶ LOADING┘ └── channel lost: booked as uncertain, scheduled again
 *     ├──no credit──▶ BLOCKED ──▶ (new)
 *     └──much is under way──▶ OFFERED ──wanted──▶ RUNNING, or LOADING first
 *
 * An OFFERED job has gone without its body (carrier.h): nothing can have been delivered.
 * While RUNNING the body of a large message is streamed: a chunk is read on a thread and sent, and
 * the next one read while the carrier takes it.
 */
#pragma once

#include "proc/queue/queue.h"

enum { JOB_RECIPIENTS_MAX = 100 };

enum job_state { JOB_NEW, JOB_LOADING, JOB_BLOCKED, JOB_OFFERED, JOB_RUNNING };

struct job_item {
    struct spool_recipient *recipient;
    uint32_t item; /* of the scheduler */
    bool wants_receipt;
};

struct job {
    struct list link; /* among the carrier's blocked or all others */
    struct list by_number;
    struct queue *queue;
    struct carrier *carrier;
    struct span next_hop;          /* kept behind the items */
    struct spool_message *message; /* stays: its recipients have no outcome yet */
    enum job_state state;
    bool reading; /* `io` is on a thread */
    bool over;    /* booked; only waits for the thread */
    struct ipc_call call;
    uint64_t number;
    uint32_t inline_bytes; /* of the body, gone with the job */

    /* From disk. */
    struct spool_reader *reader;
    const struct spool_stored *stored;
    struct io_job io;
    void (*read_done)(struct job *job);
    int error;    /* of the last read */
    char *header; /* header_bytes */
    char *chunk;  /* of the body, read at once; it goes in pieces of up to IPC_CHUNK_MAX */
    size_t chunk_size, chunk_at; /* bytes of it; how many of them went */
    uint64_t body_at;            /* how much of the body went */
    bool chunk_ready;            /* behind a piece that went before; waits until that is taken */
    struct ipc_call chunk_call;

    uint32_t count;
    struct job_item items[];
};

/* Takes charge of active items of one message. 0 or -ENOMEM: then nothing happened. */
int job_start(struct queue *q, const struct route *route, const struct job_item *items,
              uint32_t count);
/* What carriers tell of jobs. */
extern const struct carrier_user job_user;

/* ---- load.c: what must be read from disk ---- */

/* Reads envelope, header and the first chunk; then calls `done`, which finds job->error. 0 or
 * -errno. */
int job_load(struct job *job, void (*done)(struct job *job));
/* Reads the next chunk of the body, likewise. */
void job_read_chunk(struct job *job, void (*done)(struct job *job));

/* ---- outcome.c: what results mean ---- */

/* Each item's outcome is told to the scheduler and to the spool. Items that the result doesn't name
 * are lost. `result` NULL: all are; `sent`: something may have been delivered. */
void outcome_take(struct job *job, const struct ipc_job_result *result, bool sent);
/* The job could not even be tried: `temporary` or for good. */
void outcome_fail(struct queue *q, const struct job_item *item, bool temporary, const char *why);
/* An administrator wants it back at its sender. */
void outcome_give_back(struct queue *q, const struct job_item *item);
/* Items that the scheduler gave up because of their destination. */
void outcome_expired(struct queue *q);
