/*
 * What the queue is told: an outcome for each recipient of a job, gathered while hosts are tried,
 * and the hosts that were found.
 */
#pragma once

#include "proc/smtp/connection.h"
#include "proc/smtp/way.h"

/* Where a recipient's result came from. */
struct smtp_place {
    struct span host, ip;
    size_t earlier;       /* bytes of `earlier` that were there before this place was tried */
    enum ipc_scope scope; /* whom the result concerns */
};

enum {
    SMTP_TROUBLE_TEXT = 512
}; /* for what is put together here; a station's words may be longer */

struct smtp_outcomes {
    struct smtp_proc *proc;
    struct arena *arena;           /* borrowed, as the mail */
    struct smtp_client_mail *mail; /* its recipients have the results */
    uint32_t *indexes;             /* of the recipients in the envelope */
    bool *tried;                   /* recipients that the session under way has */
    struct smtp_place *places;
    struct ipc_job_outcome *list; /* for the answer: it must not fail at the end */
    bool given_up;                /* because of us, whatever the stations did */
    /* The last trouble on the way to a host. */
    char trouble_status[SMTP_HEARD_STATUS_SIZE];
    struct span trouble;
    struct smtp_place trouble_place;
    /* "tried before: one.test: can't connect …; two.test: 421 …" */
    char earlier[IPC_EARLIER_MAX];
    size_t earlier_size;
};

/* For a mail that has its recipients. 0 or -ENOMEM. */
int smtp_outcomes_init(struct smtp_outcomes *o, struct smtp_proc *proc, struct arena *arena,
                       struct smtp_client_mail *mail, const struct ipc_job *from);

/* ---- on the way ---- */

/* A host's trouble: why it went no further. */
void smtp_outcomes_trouble(struct smtp_outcomes *o, const char *status, struct span host,
                           struct span ip, const char *text);
/* The same, because of us: no host is to blame. */
void smtp_outcomes_own_trouble(struct smtp_outcomes *o, const char *status, const char *text);
/* A session failed before the mail began. */
void smtp_outcomes_session_trouble(struct smtp_outcomes *o, const struct smtp_connection *c);
/* There is no way. */
void smtp_outcomes_way_trouble(struct smtp_outcomes *o, const struct smtp_way *way);

/* ---- at a station ---- */

/* A session has the mail for those that are open. */
void smtp_outcomes_begin(struct smtp_outcomes *o);
/* It was a kept connection that had ended: says nothing of the station, which is to be tried anew.
 */
void smtp_outcomes_forget(struct smtp_outcomes *o);
/* It has given results. */
void smtp_outcomes_take(struct smtp_outcomes *o, const struct smtp_connection *c);
/* Some recipient's result is our own trouble. */
bool smtp_outcomes_are_ours(const struct smtp_outcomes *o);
/* Another try may be made for some recipient. */
bool smtp_outcomes_has_open(const struct smtp_outcomes *o);
/* The session has the mail for some recipient who wasn't told anything in the transaction. */
bool smtp_outcomes_has_rest(const struct smtp_outcomes *o);
/* The station is to have the mail again for those: the others are put off, also who was in an
 * earlier transaction of its (`again`), and nobody by another station's word. */
void smtp_outcomes_put_off(struct smtp_outcomes *o, bool again);
/* Nobody else is left. */
bool smtp_outcomes_are_put_off(const struct smtp_outcomes *o);
/* The transaction was the last one for some recipient. */
bool smtp_outcomes_got_anywhere(const struct smtp_outcomes *o);
/* In it the station took the message for some recipient. */
bool smtp_outcomes_took_some(const struct smtp_outcomes *o);
/* What is open is tried elsewhere: notes why. A host's trouble is then the last one on the way,
 * until another one comes. */
void smtp_outcomes_leave(struct smtp_outcomes *o);

/* ---- the answer ---- */

/* `epoch`: of the queue's channel by which the job came. */
void smtp_outcomes_answer(struct smtp_outcomes *o, uint64_t token, uint64_t epoch,
                          struct span mx_set);
/* There is no memory for the job that came: all its recipients are deferred. */
void smtp_outcomes_refuse(struct smtp_proc *proc, const struct ipc_arrival *arrival);
