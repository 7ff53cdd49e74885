/*
 * The jobs of the mailbox process: taken from the queue's channel, written and committed on
 * threads, answered. Loop thread only.
 *
 * Whole jobs gather until a thread is free and then are committed together, up to JOBS_BATCH or so
 * many that JOBS_BATCH_FILES files are open: when there is little to do each goes alone and at
 * once, when there is much the disk is asked to sync less often. Large messages are written as they
 * come and join a batch when they are whole.
 *
 * Want of memory costs the job that comes, never the process: it would end between others' files in
 * new/ and the word of them, and they would be delivered twice.
 *
 * Memory is bounded by the channel's credit, which a piece gives back only when it is on its way to
 * the disk. What is kept for the end has no pieces any more, and is as much as the queue has under
 * way.
 */
#pragma once

#include "base/log.h"
#include "base/numbers.h"
#include "ipc/channel.h"
#include "proc/common/job_stop.h"
#include "proc/mailbox/job.h"

enum {
    JOBS_BATCH = 32,         /* jobs, */
    JOBS_BATCH_FILES = 64,   /* and open files, of one commit: the first job may have more */
    JOBS_STREAMS_MAX = 1024, /* large messages at the same time; more are told "later" */
    JOBS_STUCK_MS = 5000,    /* no disk that works keeps a thread so long */
};

struct batch {
    struct list link; /* in jobs->idle */
    struct job_work work;
    struct jobs *jobs;
    struct job *list[JOBS_BATCH];
    size_t count;
    size_t delivery_count;
    struct maildir_delivery *deliveries[IPC_JOB_RECIPIENTS_MAX];
};
_Static_assert((int)JOBS_BATCH_FILES <= (int)IPC_JOB_RECIPIENTS_MAX, "the first job may be larger");

struct jobs {
    struct io_loop *loop;
    struct io_pool *pool;
    struct maildir *maildir;
    struct mailbox_domains *domains;
    struct ipc_channel *queue; /* NULL: none now */
    uint64_t epoch;            /* of that channel */
    struct job_stop stop;
    struct list streams;     /* ARRIVING and WRITING */
    struct numbers numbered; /* the same, for pieces that come */
    struct list ready;
    struct list kept; /* given back when nothing else is under way any more: we end */
    struct batch *batches;
    struct list idle;    /* batches that no thread has */
    struct list at_work; /* of struct job_work, the oldest first */
    struct io_deferred dispatch;
    size_t stream_count, kept_count, under_way;
    uint64_t delivered, deferred, failed; /* recipients, since the start */
    struct log_seldom alarm;              /* mailboxes can't be written */
    bool ending;
    struct io_timer *telling;      /* we end, and the queue hasn't taken all that we say, or may
                                      still give us jobs */
    bool is_telling;               /* it is set */
    void (*ended)(void *owner);    /* after jobs_end(), when nothing is under way */
    void (*outdated)(void *owner); /* another folder took the place of a root: end, to be started
                                      anew. The owner's to set; NULL is fine */
    void *owner;
};

/* `batches`: how many are committed at the same time, on the threads of `pool`. 0 or -ENOMEM. */
int jobs_init(struct jobs *jobs, struct io_loop *loop, struct io_pool *pool,
              struct maildir *maildir, unsigned batches);
/* Nothing may be under way. */
void jobs_done(struct jobs *jobs);

/* A new generation, for jobs that come from now on. Takes over the reference. */
void jobs_configure(struct jobs *jobs, struct mailbox_domains *domains);
/* A disk seems to hang, and has a thread: an end would wait for it, and all mail with it. */
bool jobs_are_stuck(const struct jobs *jobs);
/* A channel to the queue; jobs that the old one brought are dropped, or finished without an answer
 * when their turn has come. Takes over `fd`. 0 or -errno, which ends the process. */
int jobs_connect(struct jobs *jobs, int fd);
/* Asks the queue for no more jobs and finishes what threads are at work on. When no more jobs can
 * come it answers "untried" to all else, and to what came meanwhile; when all of that is in the
 * queue's socket it calls `ended`: never from within this call. */
void jobs_end(struct jobs *jobs, void (*ended)(void *owner), void *owner);
