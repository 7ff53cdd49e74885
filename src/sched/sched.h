/*
 * The scheduler: which waiting recipient is attempted next. Pure: it is told the monotonic time and
 * given its seed; it knows neither addresses nor bodies, only handles.
 *
 * An *item* is a waiting recipient (32 bytes here, 12 more in the heap while it pauses). Its owner
 * keeps the item's handle and the item keeps a pointer to its owner.
 *
 *                 due                  take                 outcome
 *   PAUSED ─────────────▶ READY ─────────────▶ ACTIVE ─────────────▶ gone: no more attempt
 *     ▲                    ▲ │                  │ │
 *     └────────────────────│─│──────────────────┘ │  failed for now, or its job was lost
 *                          │ │                    │
 *                  release │ │ hold, or given up  │  refused, given up, or a hold was asked for
 *                          │ ▼ by its site        ▼
 *                         HELD ◀──────────────────┘     (hold: from PAUSED as well)
 *
 * New items begin as PAUSED, READY or HELD; sched_remove() ends any. Who is released before he is
 * due is PAUSED until then; what would be READY but finds no memory for its sender's queue is
 * PAUSED for a second instead.
 *
 * A *destination* (a name the caller chooses: a domain, a next hop) is a queue with a window of
 * attempts at the same time. The window grows with every success and is halved by trouble of the
 * destination itself. When as many failures follow one another as the halved window is wide, the
 * destination pauses; after its pause one item goes as a probe. Destinations that may go wait in a
 * ring, and every turn of the ring takes one item from each; within a destination the senders take
 * turns likewise. Destinations that turn out to be served by the same hosts (sched_group()) share
 * window, pauses and trust: they are one *site*. So a dead destination, or a sender with a million
 * messages, holds up nobody else.
 *
 * Each destination lies in a *lane*: that of the process that carries there. Each lane has its own
 * rings, and the caller takes from those lanes only whose process can take something now.
 *
 * Very many dead sites together would still hold all attempts that a lane's process can have under
 * way, each until its time-out. So a site is trusted by what is known of it, the lane's places are
 * shared by trust (struct sched_share), each trust has a ring, and the rings take turns:
 *
 *   FRESH ───────── success ──────▶ PROVEN
 *    ▲ │                             │ ▲
 *    │ └── trouble ─────┐      pause │ │ success
 *    │                  ▼            │ │
 *    └── fresh mail ── DOUBTFUL ◀────┘ │
 *                         └────────────┘
 *
 * FRESH: nothing is known, and there is mail that was never attempted. DOUBTFUL: it failed, or
 * there is only mail that was attempted before this scheduler began (a site begins so); it becomes
 * FRESH when such mail comes and it had no trouble yet.
 *
 * Of the places that sites of one trust may have, a sender begins no more attempts while he has
 * three times as many as are left: so there is a place for the next one, whatever he has found that
 * doesn't answer. In a ring senders take turns, and then the destinations of each. Where he who has
 * enough is next, others with mail for the same destination overtake him. It is counted by trust:
 * who has very many silent sites of each takes all but a quarter of a quarter of a quarter, 64 of
 * 4,096. Very many senders fill it all the same.
 *
 * Trouble of our own stops no site, so each lane has a brake against it (brake.c): after very many
 * in a row it begins one attempt every few seconds, later every minute, until one ends otherwise.
 *
 * Giving up: an item expires only by an attempt, its own or its destination's, that failed after
 * its deadline. When it was its destination's, the caller asks for those given up one by one, when
 * he has time for them; whom he hasn't asked for when the pause ends stays. Deadlines are monotonic
 * (sched/retry.h), so a jumping clock expires nothing.
 *
 * Cost: O(log n) per step in the number of pausing items; O(1) for what is due, and a look at each
 * sender who has enough under way (a thousand at most), and at a bounded number of those behind
 * him.
 */
#pragma once

#include "sched/retry.h"

struct sched;

enum { SCHED_LANES = 8 };

/* Attempts at the same time per destination. */
struct sched_window {
    uint32_t initial, max;
};

/* Attempts at the same time in a lane: at DOUBTFUL sites, at all that aren't PROVEN, and at all. */
struct sched_share {
    uint32_t doubtful, unproven, all;
};

struct sched_config {
    struct retry_policy retry;
    struct sched_window windows[SCHED_LANES];
    struct sched_share shares[SCHED_LANES];
    int64_t lost_pause_ms; /* for items whose job was lost */
    uint64_t seed;         /* random; also keeps strangers from choosing hashes */
};

enum sched_state { SCHED_PAUSED = 1, SCHED_READY, SCHED_ACTIVE, SCHED_HELD, SCHED_STATE_COUNT };

/* 0 or -ENOMEM; *out is the caller's, for sched_free(). `config` is copied. */
int sched_new(const struct sched_config *config, struct sched **out);
/* With all items; nobody is told. NULL is fine. */
void sched_free(struct sched *sched);
/* New times for pauses from now on; deadlines of known items stay, and windows as they have grown.
 * The seed stays what it was: hashes depend on it. */
void sched_reconfigure(struct sched *sched, const struct sched_config *config);

struct sched_entry {
    void *owner;
    struct span destination;
    unsigned lane;       /* below SCHED_LANES; the same name in another lane is another one */
    uint32_t sender;     /* a hash: fairness between these */
    int64_t due_ms;      /* not before; in the past: at once */
    int64_t deadline_ms; /* retry_deadline_ms() */
    unsigned attempts;   /* failures so far */
    bool held;
};

/* A new item; the destination's name is copied. 0, or -ENOMEM: then nothing happened. */
int sched_add(struct sched *sched, const struct sched_entry *entry, int64_t now_ms,
              uint32_t *out_item);
/* Forgets an item in any state; its handle may become another's. */
void sched_remove(struct sched *sched, uint32_t item, int64_t now_ms);
/* What sched_entry.owner was. */
void *sched_owner(const struct sched *sched, uint32_t item);

/* The next item to attempt from one of `lanes` (a bit each; they take turns), now ACTIVE; 0 when
 * nothing may go. It has taken a place in its site's window and its lane until sched_outcome(). */
uint32_t sched_take(struct sched *sched, unsigned lanes, int64_t now_ms);
/* What would go next after the active `item` to the same destination from the same sender; 0 when
 * nothing. For carrying it along in the same job: sched_take_along() makes it ACTIVE without
 * taking a place in the window. */
uint32_t sched_peek_along(const struct sched *sched, uint32_t item);
void sched_take_along(struct sched *sched, uint32_t item);

enum sched_result {
    SCHED_RESULT_DONE,        /* it needs no more attempt */
    SCHED_RESULT_RECIPIENT,   /* failed for now: this recipient's own trouble */
    SCHED_RESULT_DESTINATION, /* failed for now: the destination's trouble */
    SCHED_RESULT_REFUSED,     /* failed for good: to be held */
    SCHED_RESULT_KEPT,        /* to be held without an attempt: none is counted */
    SCHED_RESULT_OURS,        /* failed for now, because of us: says nothing of the destination, and
                                 waits no longer than after a third failure; many in a row put the
                                 lane's brake on */
    SCHED_RESULT_UNFIT,       /* failed for good, because of us: likewise */
    SCHED_RESULT_LOST,        /* nobody knows: the transport went away; no attempt is counted */
};

enum sched_verdict {
    SCHED_VERDICT_GONE,    /* the handle is free */
    SCHED_VERDICT_RETRY,   /* at *out_due_ms */
    SCHED_VERDICT_HELD,    /* by an earlier sched_hold(), or refused */
    SCHED_VERDICT_EXPIRED, /* given up; held */
};

/* The failures that count for an item after one more; for who keeps them beyond a restart. */
unsigned sched_failures(unsigned attempts, enum sched_result result);

/* What came of an ACTIVE item. *out_due_ms is written with RETRY only, so it may be NULL for DONE
 * and what is held. `why` explains a trouble to people (copied, cut to SCHED_WHY_MAX).
 * Afterwards ask sched_take_expired(). */
enum { SCHED_WHY_MAX = 200 };
enum sched_verdict sched_outcome(struct sched *sched, uint32_t item, enum sched_result result,
                                 struct span why, int64_t now_ms, int64_t *out_due_ms);
/* The destination of this ACTIVE item is served by these hosts (a name for all of them; empty: not
 * known, nothing changes). A name that no other has parts it from those that it was with: when its
 * own DNS fails, that is no trouble, and no success, of theirs. Before sched_outcome(). */
void sched_group(struct sched *sched, uint32_t item, struct span hosts);
/* An item that is given up because its destination failed past the item's deadline; it is HELD
 * from now on. Each item that is looked at for it takes one of *looks; 0 when none was found in as
 * many. */
uint32_t sched_take_expired(struct sched *sched, uint32_t *looks);
/* This one is given up like those, if it is such a one: for who goes with one of them. False: it
 * isn't, nothing happened. */
bool sched_expire_along(struct sched *sched, uint32_t item);
/* False: there is none, until the next outcome. */
bool sched_may_have_expired(const struct sched *sched);
/* While `all` are spared nobody expires by his own attempt: he is attempted again. For a caller who
 * can't be given more of them now. */
void sched_spare(struct sched *sched, bool all);

/* An ACTIVE item is held when its attempt fails. */
void sched_hold(struct sched *sched, uint32_t item, int64_t now_ms);
/* Nothing when it isn't held. It may go when it is due, in the past: at once, with this deadline:
 * retry_deadline_ms() of now, or who was held for long would be given up by his first failure. */
void sched_release(struct sched *sched, uint32_t item, int64_t due_ms, int64_t deadline_ms,
                   int64_t now_ms);
/* At once, and its destination's pause ends, and that of its lane's brake; nothing when ACTIVE or
 * HELD. */
void sched_retry_now(struct sched *sched, uint32_t item, int64_t now_ms);

/* When sched_take() may have something again from `lanes`: a monotonic time, in the past when it
 * has something now, INT64_MAX when only a new item or an outcome can change that. */
int64_t sched_next_ms(const struct sched *sched, unsigned lanes);

/* Waiting for what, until when, why. */
enum sched_wait {
    SCHED_WAIT_TURN,        /* its turn among others, soon */
    SCHED_WAIT_PAUSE,       /* its own next attempt */
    SCHED_WAIT_DESTINATION, /* the destination's pause after failures */
    SCHED_WAIT_WINDOW,      /* attempts under way to the destination */
    SCHED_WAIT_OUTCOME,     /* it is being attempted */
    SCHED_WAIT_RELEASE,     /* it is held */
    SCHED_WAIT_OURS,        /* its lane's brake after trouble of our own */
};

struct sched_explanation {
    enum sched_wait wait;
    enum sched_state state;
    int64_t until_ms; /* 0 when no time is known */
    int64_t deadline_ms;
    unsigned attempts;
    unsigned lane;
    struct span destination; /* borrowed until the next change */
    struct span why; /* its own last trouble, or its destination's or lane's while it waits for
                        that; or empty */
};

/* Spans in *out are borrowed until the next call that changes anything. */
void sched_explain(const struct sched *sched, uint32_t item, struct sched_explanation *out);

struct sched_destination_info {
    struct span why;
    uint32_t counts[SCHED_STATE_COUNT]; /* by state */
    uint32_t window;
    unsigned failures; /* in a row */
    int64_t resume_ms; /* end of its pause; 0 when it doesn't pause */
};

/* False when there is none. `out->why` is borrowed likewise. */
bool sched_destination(const struct sched *sched, struct span name, unsigned lane,
                       struct sched_destination_info *out);
struct sched_counters {
    uint32_t counts[SCHED_STATE_COUNT];
    uint32_t destinations, destinations_pausing; /* the second counts sites */
};

/* All items by state, over all lanes. */
void sched_count(const struct sched *sched, struct sched_counters *out);
