/*
 * A walk over what waits, for listings and acts: all recipients that fit a filter, the oldest
 * message first, a batch at a time. What fits by what is in memory (id, destination, state, the
 * hashes of sender and domain) is chosen on the loop, a bounded number of messages a batch, so that
 * a filter that fits nothing doesn't hold it up; envelopes are read on a thread.
 */
#pragma once

#include "proc/queue/core/queue.h"

/* Bounds of a batch: messages (each an open reader), recipients, and messages that are looked at.
 */
enum { WALK_MESSAGES = 256, WALK_ROWS = 256, WALK_EXAMINED = 5000 };

struct walk_entry {
    struct id id;
    uint32_t first_row,
        end_row; /* of the message's recipients: first to look at, behind the last */
    struct spool_reader *reader;
    const struct spool_stored *stored; /* NULL: not read, or it can't be */
};

struct walk {
    struct queue *queue;
    struct ipc_queue_filter filter; /* its texts lie in `arena` */
    struct arena arena;
    uint32_t sender;    /* hash of a whole address to look for */
    struct span domain; /* of a whole recipient's address, in `filter` */
    bool knows_sender, knows_domain, domain_is_here, reads;
    void *arg; /* the caller's */
    /* A batch is there: `entries`, perhaps none. Called from the loop, never before walk_next()
     * has returned. */
    void (*ready)(struct walk *walk);

    struct spool_listing *messages; /* NULL: only the one in `next` */
    struct id next;                 /* to begin the next batch with; zero: ask `messages` */
    uint32_t next_row;
    bool ended; /* no further batch */
    uint64_t examined;
    struct walk_entry entries[WALK_MESSAGES];
    size_t count;
    bool reading;
    struct io_job job;
    struct io_timer *timer;
};

/* `reads`: envelopes are wanted whatever the filter says. 0 or -errno; then there is no walk. */
int walk_new(struct queue *q, const struct ipc_queue_filter *filter, bool reads,
             void (*ready)(struct walk *walk), void *arg, struct walk **out);
/* The next batch; the last one's entries are gone. One at a time: not before `ready` was called for
 * the batch before. */
void walk_next(struct walk *walk);
/* The batch is looked at later: its readers, which keep their messages' segments from being used
 * again, are let go. */
void walk_rest(struct walk *walk);
/* The same batch is read anew, as far as it's still there; then `ready`. */
void walk_again(struct walk *walk);
/* `ready` isn't called any more. NULL is fine. */
void walk_free(struct walk *walk);

/* Does this recipient of an entry fit, addresses included? With what it waits for. */
bool walk_fits(const struct walk *walk, const struct walk_entry *entry,
               const struct spool_recipient *recipient, struct sched_explanation *out);
/* Nobody knows whether it fits: what is in memory does, but the message can't be read. */
bool walk_may_fit(const struct walk *walk, const struct walk_entry *entry,
                  const struct spool_recipient *recipient);

/* IPC_QUEUE_PAUSED and so on. */
uint8_t walk_state_bit(enum sched_state state);
