/*
 * The work that blocks, on the book's one thread: follow the log from the ledger's position to the
 * limit, fold, commit. A turn ends after a batch, so that what was folded is reported and the limit
 * renewed. What goes wrong is told in the result; the next turn starts again at what was committed.
 */
#pragma once

#include "io/pool.h"
#include "proc/book/translate.h"

enum worker_trouble {
    WORKER_FINE,
    WORKER_DAMAGED, /* a file of the ledger was set aside: its entries are being made anew */
    WORKER_LEDGER,  /* the ledger can't be written: try again later; -EWOULDBLOCK: another has its
                       lease */
    WORKER_LOG,     /* the log can't be read: try again later */
};

struct worker {
    struct io_job job;
    int spool_fd;
    const char *ledger; /* path within the sandbox */

    /* Set before a turn. */
    struct spool_position limit; /* {0, 0}: not known, so nothing is read */
    uint64_t queue_waiting;      /* recipients, as of the limit */
    /* 0: no retention; a turn that is through with it sets it so. */
    int64_t keep_before_us, refusals_before_us;

    /* Told by a turn. */
    struct spool_position folded; /* committed; {0, 0}: nothing, or not known after damage */
    bool behind;                  /* the limit isn't reached */
    enum worker_trouble trouble;
    int error;               /* -errno of the trouble */
    struct ledger_told told; /* of files, until people were told */
    size_t deleted_files;    /* since the start */
    uint32_t new_lane;   /* that begins since the log ends too early, until it was told; 0: none */
    bool is_compared;    /* the limit was reached once */
    bool differs;        /* what waits then, until it was told: */
    uint64_t waiting[2]; /* by the book, in the queue */
    bool doubts;         /* the clock is far ahead of the last look, until it was told */

    /* The thread's own. */
    int lease_fd;
    bool is_leased;
    uint32_t announced_lane;      /* the last of `new_lane` */
    struct ledger_told announced; /* what was told last, since the last commit */
    struct fold *fold;
    struct spool_follower *follower;
    unsigned unreadable;    /* turns in a row that ended with EIO from the log */
    unsigned unread_ledger; /* turns in a row that ended with a failed read of the ledger */
    bool told_unretained;   /* that retention fails behind another trouble */
    struct translator translator;
};

/* On the thread: one batch. Blocks for some hundred milliseconds as a rule, and longer for a disk
 * that stalls, another writer (five seconds), retention, the look at all files of an opening, and a
 * finding aid that is merged or made anew. What it came to stands in the worker. */
void worker_turn(struct io_job *job);
/* Closes log and ledger, and gives the lease back; what wasn't committed is as if never folded. The
 * thread must have ended.
 */
void worker_done(struct worker *worker);
