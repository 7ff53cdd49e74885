/*
 * What the files of the scheduler share; nobody else includes this.
 */
#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "base/table.h"
#include "sched/heap.h"
#include "sched/sched.h"
#include <xxhash.h>

struct item {
    void *owner;
    uint32_t destination;
    uint32_t sender;        /* a hash: equal senders share a flow */
    uint32_t deadline_s;    /* monotonic */
    uint32_t next;          /* READY: in its flow; PAUSED, HELD: why */
    uint32_t prev_or_place; /* READY: in its flow; PAUSED: position in the heap */
    uint16_t attempts;
    uint8_t state; /* enum sched_state; 0: not in use */
    uint8_t flags;
};

enum item_flags {
    ITEM_HOLD_ASKED = 1,  /* while ACTIVE: hold it when the attempt fails */
    ITEM_IN_WINDOW = 2,   /* ACTIVE and counted in its destination's window and in its lane */
    ITEM_TRUST_SHIFT = 2, /* from here on: the trust under which its lane counts it */
};

/* What a site has shown (sched.h). */
enum site_trust { SITE_DOUBTFUL, SITE_FRESH, SITE_PROVEN, SITE_TRUST_COUNT };

/* The ready items of one sender for one destination, first come first served. */
struct flow {
    uint32_t first, last;
    uint32_t destination, sender;
    struct list link; /* in its destination's turn */
};

/*
 * What serves one or several destinations: the place of window and health. Destinations that were
 * found to have the same hosts share a site, each other one has its own.
 */
struct site {
    struct list members; /* destinations */
    struct list waiting; /* of these, WAITING */
    uint64_t key;        /* of its hosts; 0: not known, or not shared */
    char *why;           /* NULL when there was no trouble */
    int64_t resume_ms;   /* while it pauses */
    uint32_t handle;     /* 0: not in use */
    uint32_t active;     /* places taken in the window */
    uint32_t window;
    uint32_t credit; /* successes towards the next growth, once there was trouble */
    uint32_t heap_place;
    uint32_t failures;   /* of the site, in a row */
    uint32_t pauses;     /* in a row */
    uint32_t failed_s;   /* while it pauses: its last failure */
    uint32_t earliest_s; /* no deadline of what is READY here is before (expire.c) */
    uint8_t lane;
    uint8_t trust; /* enum site_trust */
    bool pausing;  /* in the heap */
    bool had_trouble;
};

/*
 * IDLE has no ready items, RUNNABLE is in a ring, WAITING waits for its site: that pauses, or its
 * window is full.
 *
 *   IDLE ◀──▶ RUNNABLE ◀──▶ WAITING ◀──▶ IDLE
 *
 * Any may follow any: destination_update() finds it anew from the counts and the site. A full
 * window isn't told to all who are RUNNABLE: who finds it full when its turn comes waits from then
 * on.
 */
enum destination_place { DESTINATION_IDLE, DESTINATION_RUNNABLE, DESTINATION_WAITING };

struct destination {
    struct list link;    /* in its crowd; among those that wait; among the unused, without items */
    struct list shared;  /* in its crowd, too, while it has several flows */
    struct crowd *crowd; /* while RUNNABLE */
    struct list member;  /* of its site */
    struct list flows;   /* with ready items; the next to go first */
    char *name;
    uint32_t name_size;
    uint32_t hash;
    uint32_t handle;
    uint32_t site;
    uint32_t counts[SCHED_STATE_COUNT];
    uint32_t active; /* places taken in its site's window */
    uint8_t place;   /* enum destination_place */
    uint8_t lane;
    bool overtaken; /* who is next to go had enough under way when his turn came: others went */
};

/*
 * The RUNNABLE destinations of one lane and trust whose next item is by the same sender, or by
 * another one whose hash falls together with his. A fixed number of them: so that no stranger makes
 * them grow, and none fails for want of memory.
 */
struct crowd {
    struct list link;         /* in its ring, while it has destinations */
    struct list destinations; /* the next to go first */
    struct list shared;       /* of these, those with several flows; the next to look at first */
    uint32_t under_way;       /* attempts for these senders that began with this trust */
};

enum { CROWD_BITS = 10, CROWDS = 1 << CROWD_BITS };

struct ring {
    struct list turns; /* crowds with destinations; the next to go first, unless it has enough */
    struct crowd crowds[CROWDS];
};

/* Of a lane (brake.c). */
struct brake {
    int64_t until_ms; /* while it is on: no attempt begins before */
    int64_t pause_ms; /* after the next one */
    uint32_t ours;    /* attempts in a row that failed because of us */
    uint32_t why;     /* while it is on */
};

struct lane {
    struct ring rings[SITE_TRUST_COUNT];  /* by the trust in the destinations' sites */
    uint32_t under_way[SITE_TRUST_COUNT]; /* attempts, by the trust with which they began */
    struct brake brake;
    unsigned turn; /* the ring that is asked first */
};

/* That of expire.c, which goes round all items. */
struct hand {
    uint32_t at; /* the next item to look at */
    uint32_t end;
    bool goes;
};

struct sched {
    struct sched_config config;
    uint64_t random;
    struct slab items, flows, destinations, sites, whys;
    struct table flow_table, destination_table, site_table, why_table;
    struct heap paused_items, paused_sites;
    struct lane lanes[SCHED_LANES];
    unsigned turn;      /* the lane that is asked first */
    struct list unused; /* destinations without items, longest unused first */
    uint32_t unused_count;
    uint32_t counts[SCHED_STATE_COUNT];
    struct hand hand;
    bool spares; /* nobody is given up by his own attempt */
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

static inline struct site *site_at(const struct sched *s, uint32_t handle)
{
    return slab_at(&s->sites, handle);
}

static inline bool site_may_go(const struct site *site)
{
    return !site->pausing && site->active < site->window;
}

static inline uint64_t sched_key(const struct sched *s, struct span text)
{
    return XXH3_64bits_withSeed(text.data, text.size, s->config.seed);
}

static inline uint32_t sched_hash(const struct sched *s, struct span text)
{
    return (uint32_t)sched_key(s, text);
}

/* flow.c: the ready items of a destination, in turns between senders. */
/* 0 or -ENOMEM. */
int flow_append(struct sched *s, uint32_t item);
void flow_remove(struct sched *s, uint32_t item);
/* The first item of the sender whose turn it is, taken out; the turn passes on. */
uint32_t flow_take(struct sched *s, struct destination *d);
/* The first item of that sender, or 0. */
uint32_t flow_first(const struct sched *s, uint32_t destination, uint32_t sender);

/* destination.c */
/* 0 when there is none. */
uint32_t destination_find(const struct sched *s, struct span name, unsigned lane);
/* Finds or makes it; 0 when there is no memory. */
uint32_t destination_get(struct sched *s, struct span name, unsigned lane);
/* Puts it where its counts say it belongs. Call after each change of them. */
void destination_update(struct sched *s, struct destination *d);
/* Out of ring and lists, until destination_update() puts it where it belongs. */
void destination_withdraw(struct sched *s, struct destination *d);
void destination_free_all(struct sched *s);

/* lane.c: places for attempts, and whose turn it is. */
void lane_init(struct lane *lane);
/* The destination whose turn it is, with the flow to go in front; or NULL, also while its brake is
 * on. */
struct destination *lane_next(struct sched *s, unsigned lane, int64_t now_ms);
/* When lane_next() may have something: INT64_MIN when it has now, INT64_MAX when it has nothing. */
int64_t lane_next_ms(const struct sched *s, unsigned lane);
/* The crowd to which this destination belongs while it is RUNNABLE. */
struct crowd *lane_crowd(struct sched *s, const struct destination *d);
/* Into the ring, as the last of that crowd, or its first if it was overtaken; and out of it. */
void lane_enter(struct sched *s, struct destination *d);
void lane_leave(struct destination *d);
/* It stays in its crowd, and may have got or lost flows. */
void lane_count_flows(struct destination *d);
/* The sender has fewer attempts under way than he who is next at this destination, of which not
 * much is known: so he may go first. */
bool lane_prefers(struct sched *s, const struct destination *d, uint32_t sender);
/* An attempt of this item begins, and ends: counted once each. After it has left its flow: its
 * destination isn't in the ring any more, until destination_update(). */
void lane_begin(struct sched *s, struct item *i, int64_t now_ms);
void lane_end(struct sched *s, struct item *i);

/* brake.c: our own trouble. */
bool brake_is_on(const struct brake *brake);
bool brake_lets_go(const struct brake *brake, int64_t now_ms);
/* One that was let go has begun, and an attempt has ended. */
void brake_attempt(struct brake *brake, int64_t now_ms);
void brake_result(struct sched *s, struct brake *brake, enum sched_result result, struct span why,
                  int64_t now_ms);
/* The next one needn't wait. */
void brake_probe(struct brake *brake, int64_t now_ms);

/* site.c: windows and health. */
/* Without members; 0 when there is no memory. Room in the heap of pauses is taken with it. */
uint32_t site_new(struct sched *s, unsigned lane);
void site_join(struct sched *s, struct destination *d, uint32_t site);
/* Frees the site with its last member. */
void site_leave(struct sched *s, struct destination *d);
/* There may be room: who waits for it gets into the ring. */
void site_wake(struct sched *s, struct site *site);
/* An item has come to it that was never attempted: it is FRESH, unless more is known. */
void site_has_fresh(struct sched *s, struct site *site);
/* An attempt that counted in its window is over: the destination answered, or had trouble. */
void site_succeeded(struct sched *s, struct site *site);
void site_failed(struct sched *s, struct site *site, struct span why, int64_t now_ms);
/* Its pause is over, or is ended: a window of one, so one attempt goes as a probe. */
void site_resume(struct sched *s, struct site *site);
void site_free_all(struct sched *s);

/* expire.c: who is given up by his site's failure. */
/* Something of this deadline is READY there. */
void expire_bound(struct site *site, uint32_t deadline_s);
/* It pauses since this failure, or has failed once more. */
void expire_after_failure(struct sched *s, struct site *site, int64_t now_ms);
/* It is to be given up, if anybody asks for it. */
bool expire_is_due(const struct sched *s, const struct item *i);
/* The next such one, still READY; 0: none was found in so many looks. */
uint32_t expire_find(struct sched *s, uint32_t *looks);

/* why.c: texts shared by items. A handle is one use of its text; 0 is no text. */
void why_init(struct sched *s);
void why_done(struct sched *s);
/* 0 also when there is no memory. */
uint32_t why_take(struct sched *s, struct span text);
void why_release(struct sched *s, uint32_t handle);
struct span why_text(const struct sched *s, uint32_t handle);
