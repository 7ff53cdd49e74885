/*
 * A job's body as it comes from the queue, in pieces. Each piece's credit is the queue's again, and
 * a piece that came by itself is confirmed, when the session has had it.
 *
 * A body of one piece is kept until the job ends, so that another host can have it; of a larger one
 * what has gone is gone.
 */
#pragma once

#include "proc/smtp/smtp.h"

struct smtp_job_body {
    struct smtp_proc *proc;
    uint64_t job, epoch; /* the job's number; of the queue's channel */
    uint64_t size_bytes;
    uint64_t to_come;   /* bytes not come yet */
    struct list pieces; /* come, and not given on */
    bool asked;         /* the queue, for the body */
    bool consumed;      /* part of the body is gone: no second host can have it */
};

void smtp_job_body_init(struct smtp_job_body *body, struct smtp_proc *proc,
                        const struct ipc_job *job);
void smtp_job_body_done(struct smtp_job_body *body);

/* Keeps a piece, which is no larger than what is to come. `token` of the call that brought it, to
 * be confirmed; 0: it came with the job. 0 or -ENOMEM. */
int smtp_job_body_add(struct smtp_job_body *body, const struct ipc_arrival *arrival,
                      struct span bytes, uint64_t token);
/* The first piece, or "" of an empty body; false when it isn't there. */
bool smtp_job_body_first(const struct smtp_job_body *body, struct span *out);
/* The queue may have kept the body back until a station is there: asks for it, once. */
void smtp_job_body_ask(struct smtp_job_body *body);
/* Gives the session the next piece, if it wants one and one is there. True when it did. */
bool smtp_job_body_give(struct smtp_job_body *body, struct smtp_client *client);
/* Gives the session a piece that it can have at once: it needs no memory of its own, and is the
 * caller's to confirm. False: it must be kept. */
bool smtp_job_body_pass(struct smtp_job_body *body, struct smtp_client *client, struct span bytes);
