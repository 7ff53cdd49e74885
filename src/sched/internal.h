/*
 * What the files of the scheduler share; nobody else includes this.
 */
#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "base/table.h"
#include "sched/heap.h"
#include "sched/sched.h"

struct item {
    void *owner;
    uint32_t destination;
    uint32_t sender;     /* a hash: equal senders share a flow */
    uint32_t deadline_s; /* monotonic */
    uint32_t next;       /* READY: in its flow; PAUSED, HELD: why; given up: in the list of those */
    uint32_t prev_or_place; /* READY: in its flow; PAUSED: position in the heap */
    uint16_t attempts;
    uint8_t state; /* enum sched_state */
    uint8_t flags;
};

enum item_flags {
    ITEM_HOLD_ASKED = 1,  /* while ACTIVE: hold it when the attempt fails */
    ITEM_IS_GIVEN_UP = 4, /* HELD and in the list of those given up */
    ITEM_IN_WINDOW = 2,   /* ACTIVE and counted in its destination's window */
};

/* The ready items of one sender for one destination, first come first served. */
struct flow {
    uint32_t first, last;
    uint32_t destination, sender;
    struct list link; /* in its destination's turn */
};

/*
 *   IDLE ◀──▶ RUNNABLE (in the ring: has ready items, room in the window)
 *     ▲           │ failures
 *     └─ resume ─ PAUSING (in the heap)
 */
enum destination_place { DESTINATION_IDLE, DESTINATION_RUNNABLE, DESTINATION_PAUSING };

struct destination {
    struct list link;  /* in the ring when RUNNABLE; among the unused when it has no items */
    struct list flows; /* with ready items; the next to go first */
    char *name;
    char *why; /* NULL when there was no trouble */
    uint32_t name_size;
    uint32_t hash;
    uint32_t handle;
    uint32_t counts[SCHED_STATE_COUNT];
    uint32_t active; /* places taken in the window */
    uint32_t window;
    uint32_t credit; /* successes towards the next growth, once there was trouble */
    uint32_t heap_place;
    uint32_t failures; /* of the destination, in a row */
    uint32_t pauses;   /* in a row */
    int64_t resume_ms;
    uint8_t place; /* enum destination_place */
    uint8_t lane;
    bool had_trouble;
};

struct sched {
    struct sched_config config;
    uint64_t random;
    struct slab items, flows, destinations, whys;
    struct table flow_table, destination_table, why_table;
    struct heap paused_items, paused_destinations;
    struct list rings[SCHED_LANES]; /* RUNNABLE destinations */
    unsigned turn;                  /* the lane that is asked first */
    struct list unused;             /* destinations without items, longest unused first */
    uint32_t unused_count;
    uint32_t counts[SCHED_STATE_COUNT];
    uint32_t first_expired;
};

static inline struct item *item_at(const struct sched *s, uint32_t handle)
{
    return slab_at(&s->items, handle);
}

static inline struct flow *flow_at(const struct sched *s, uint32_t handle)
{
    return slab_at(&s->flows, handle);
}

static inline struct destination *destination_at(const struct sched *s, uint32_t handle)
{
    return slab_at(&s->destinations, handle);
}

uint64_t sched_random(struct sched *s);
uint32_t sched_hash(const struct sched *s, struct span text);

/* flow.c: the ready items of a destination, in turns between senders. */
/* 0 or -ENOMEM. */
int flow_append(struct sched *s, uint32_t item);
void flow_remove(struct sched *s, uint32_t item);
/* The first item of the sender whose turn it is, taken out; the turn passes on. */
uint32_t flow_take(struct sched *s, struct destination *d);
/* The first item of that sender, or 0. */
uint32_t flow_first(const struct sched *s, uint32_t destination, uint32_t sender);

/* destination.c */
/* Finds or makes it; 0 when there is no memory. */
uint32_t destination_get(struct sched *s, struct span name, unsigned lane);
/* Puts it where its counts say it belongs. Call after each change of them. */
void destination_update(struct sched *s, struct destination *d);
void destination_succeeded(struct sched *s, struct destination *d);
void destination_failed(struct sched *s, struct destination *d, struct span why, int64_t now_ms);
void destination_resume(struct sched *s, struct destination *d);
void destination_free_all(struct sched *s);

/* why.c: texts shared by items. A handle is one use of its text; 0 is no text. */
void why_init(struct sched *s);
void why_done(struct sched *s);
/* 0 also when there is no memory. */
uint32_t why_take(struct sched *s, struct span text);
void why_release(struct sched *s, uint32_t handle);
struct span why_text(const struct sched *s, uint32_t handle);
