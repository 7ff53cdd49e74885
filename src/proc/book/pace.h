/*
 * When the book's next turn begins. One that has something to commit syncs two files on the disk
 * that the queue needs, too: so what comes within a moment shares one. A message's outcome mostly
 * comes within the moment behind it, and then its entry is written once. Who waits for what is
 * sealed needn't wait for that as well.
 *
 *     ┌──────────hour is over, or somebody waits────────────┐
 *     │                                                     ▼
 *   IDLE ──sealed──▶ GATHERING ──over, or somebody waits──▶ RUNNING ──done──▶ RESTING
 *     ▲                                                     ▲ ▲ │              │ │
 *     │              STUCK ◀──trouble───────────────────────┼─┼─┘              │ │
 *     │                └────over────────────────────────────┘ └────────────────┼─┘
 *     │                                         over with work, or somebody waits
 *     └────over without work───────────────────────────────────────────────────┘
 *
 * A turn that is behind its limit, or has work left that somebody waits for, is followed by the
 * next at once. Between PACE_NOW and pace_begin() the state says nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum pace_state {
    PACE_IDLE,
    PACE_GATHERING,
    PACE_RUNNING,
    PACE_RESTING,
    PACE_STUCK, /* before the next try */
};

struct pace {
    enum pace_state state;
    bool is_awaited; /* what was sealed since the turn began */
};

enum pace_end { PACE_DONE, PACE_BEHIND /* its limit */, PACE_IN_TROUBLE };

enum { PACE_RETENTION_MS = 3600000 }; /* what is old goes although no mail comes */

/* What follows from it: the turn begins now, in so many ms (set the timer), or as was said before.
 */
enum { PACE_NOW = 0, PACE_AS_BEFORE = -1 };

/* A position was told; is it waited for? */
int64_t pace_sealed(struct pace *pace, bool is_awaited);
/* The timer fired. Without work it is set for the next retention. */
int64_t pace_elapsed(struct pace *pace, bool has_work);
/* The turn begins. */
void pace_begin(struct pace *pace);
/* It ended. */
int64_t pace_ended(struct pace *pace, enum pace_end how, bool has_work);
