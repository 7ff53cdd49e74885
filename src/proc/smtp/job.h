/*
 * A job: a message for some recipients that go the same way. It answers the queue exactly once, and
 * lives until then; its connection lives on, idle, for the next job of the same next hop.
 */
#pragma once

#include "proc/smtp/body.h"
#include "proc/smtp/outcome.h"
#include "proc/smtp/race.h"

/* In the order of the journey. The picture is in job.c, above what asserts it. */
enum smtp_job_state {
    SMTP_JOB_RESOLVING,
    SMTP_JOB_CONNECTING,
    SMTP_JOB_GREETING, /* a connection is there, the mail not begun */
    SMTP_JOB_MAIL,     /* the session has it */
    SMTP_JOB_OVER,
};

struct smtp_job {
    struct list link, by_number;
    struct smtp_proc *proc;
    enum smtp_job_state state;
    uint64_t number, token, epoch;
    struct arena arena;
    struct span next_hop;
    struct smtp_client_mail mail;
    struct smtp_job_body body;
    struct smtp_outcomes outcomes;
    bool has_way;
    struct smtp_way way;
    struct smtp_race race;
    struct smtp_connection_user user;
    struct smtp_connection *connection;
    size_t target; /* of the connection, when it came from the race */
    bool from_race;
    bool has_served;             /* the connection: the message for some of its recipients */
    struct smtp_target spent_at; /* of the used connection that went wrong: not tried again */
    bool spent;
    struct smtp_target again_at; /* the station that was given the message again … */
    bool comes_again;            /* … if one was: it has put off whom it told "later" */
};

/* A job came: it lives until it has answered, perhaps before this returns. What it needs of the
 * arrival is copied, or held with its credit. */
void smtp_job_new(struct smtp_proc *proc, const struct ipc_arrival *arrival);
/* Its next piece came. */
void smtp_job_piece(struct smtp_proc *proc, const struct ipc_arrival *arrival);
/* All jobs that are no further than `last` are given up, before SMTP_JOB_OVER. */
void smtp_jobs_drop(struct smtp_proc *proc, enum smtp_job_state last, const char *why);
