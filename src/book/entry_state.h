/*
 * How events make an entry's state: one rule for the fold, which applies each event as it comes,
 * and for the audit, which applies all of them again.
 *
 *   accepted ──▶ waiting ──(delivered, relayed, expanded, returned, discarded, closed …)──▶ closed
 *                 ▲   │ deferred, uncertain, held, released, expired … (next attempt changes)
 *                 └───┘
 *
 * Lost is no end, but what an administrator says of one that waits here and that the queue doesn't
 * have: with the next word of him he waits again, or has had the end that it tells.
 *
 * Closed is for ever: a later end (a station that took a message which had been given up) is kept
 * as an event and changes nothing, or a recipient would count twice in the law of conservation.
 */
#pragma once

#include "mail/event.h"

struct entry_state {
    unsigned state; /* enum recipient_state; 0 before it was accepted */
    int64_t since_us;
    int64_t next_attempt_us; /* 0: none */
};

/* True when the event changed something. */
bool entry_state_apply(struct entry_state *entry, unsigned kind, int64_t time_us,
                       int64_t next_attempt_us);
