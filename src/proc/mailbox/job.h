/*
 * One job of the queue: a message for some mailboxes. Its bytes come as pieces: the body in the
 * job's own frame, or one IPC_JOB_BODY after the other.
 *
 *   ARRIVING --piece--> WRITING (thread) --more to come--> ARRIVING
 *      |                   \--the last one--> READY --> COMMITTING (thread) --> gone
 *      \--a whole body in its first frame--> READY
 *
 * In READY the job waits for its turn in a batch. A job that is dropped (the queue went away, or
 * can't go on) passes through COMMITTING too, since its files are removed on a thread.
 */
#pragma once

#include "io/pool.h"
#include "proc/common/piece.h"
#include "proc/mailbox/domains.h"
#include "proc/mailbox/message.h"

enum job_state { JOB_ARRIVING, JOB_WRITING, JOB_READY, JOB_COMMITTING };

/* What a thread is given to do, in jobs->at_work until the loop has it back. */
struct job_work {
    struct io_job io;
    struct list link;
    int64_t since_ms;
};

struct job {
    struct list link;      /* in jobs->streams, ->ready or ->kept */
    struct list by_number; /* in jobs->numbered, while in jobs->streams */
    struct job_work work;  /* while WRITING */
    struct jobs *jobs;
    enum job_state state;
    uint64_t number, token;
    uint64_t epoch;      /* of the channel that brought it */
    uint64_t to_come;    /* bytes not yet arrived */
    struct list fresh;   /* pieces that no thread has taken */
    struct list taken;   /* pieces that a thread is writing or has written */
    bool all_taken;      /* the taken ones are the last */
    bool begun, ended;   /* the message's files: opened, written to their end */
    const char *dropped; /* why the message won't come whole, or NULL */
    bool given_back;     /* then: only because this process ends */
    const char *doomed;  /* becomes `dropped` when the thread is done */
    struct mailbox_domains *domains;
    struct arena arena;
    struct mailbox_message message;
    uint32_t *indexes; /* of the recipients in the envelope */
    struct ipc_job_outcome *outcomes;
};

/* Copies all that it keeps. 0 or -ENOMEM. */
int job_new(const struct ipc_job *from, struct mailbox_domains *domains, struct job **out);
/* The files must be closed: ended and committed, or never begun. All pieces must be settled. */
void job_free(struct job *job);

/* The only place where a job's state changes. */
void job_set_state(struct job *job, enum job_state state);

/* Appends a piece that came. 0 or -ENOMEM. */
int job_add_piece(struct job *job, const struct ipc_arrival *arrival, struct span bytes,
                  uint64_t token);

/* Hands what has come to the thread that will run next. */
void job_take_pieces(struct job *job);

/* On a thread: writes the taken pieces, opening the files first; ends the message when all has
 * come. A dropped one is abandoned. */
void job_write(struct job *job, struct maildir *m);
/* Whether every recipient has its outcome already. */
bool job_is_settled(const struct job *job);

/* Outcomes as the queue wants them; borrowed from the job. No memory is needed: files may be in
 * new/ already. */
struct ipc_job_outcome *job_outcomes(struct job *job);
