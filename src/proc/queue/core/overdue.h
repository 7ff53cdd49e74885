/* What should have gone on, but hasn't. */
#pragma once

#include "proc/queue/core/queue.h"

struct overdue_suspect {
    struct id id;
    uint32_t index;
    bool is_overdue; /* alarm was raised */
    uint8_t wait;    /* enum sched_wait; SCHED_WAIT_OUTCOME also without an item */
    uint8_t lane;    /* SCHED_LANES: without an item */
    int64_t next_attempt_us;
    int64_t since_ms; /* begin of the first walk that saw it late */
    int64_t still_ms; /* since then nothing has gone on, here or before it */
};

struct overdue {
    int64_t grace_us;    /* how late the next event may be */
    int64_t patience_ms; /* how long it must have been seen so, without an attempt */
    int64_t excuse_ms;   /* how long it may wait for room although others go on */
    int64_t pause_ms;    /* between two walks */
    int64_t began_ms, next_ms;
    size_t cursor;
    struct overdue_suspect *before, *now; /* of the last whole walk, by id; of this one */
    size_t before_count, now_count;
    uint64_t count; /* overdue, as of the last whole walk */
};

void overdue_init(struct queue *q);
void overdue_done(struct queue *q);
/* Once a second: looks at a slice of all that wait, and raises the alarm at the end. */
void overdue_tick(struct queue *q);
/* An alarm was raised for this recipient, as of the last whole walk, and no attempt was since. */
bool overdue_is_told(const struct queue *q, const struct id *message,
                     const struct spool_recipient *recipient);
/* The count and the first few, as members of a JSON object. */
void overdue_status(const struct queue *q, struct buffer *json);
