/*
 * Which ids an smtpd may give its messages: its own (the origin is in the id), each once. A
 * taken-over one could otherwise take the id of a message that was finished long ago, and what
 * becomes of its own would be booked as the other's.
 *
 * The latest ids are remembered one by one, at least IDS_REMEMBERED of them; of all that are older
 * than these only how old they are, so an id from then is refused, new or not. Bounded.
 */
#pragma once

#include "base/id.h"

enum { IDS_REMEMBERED = 1 << 16 };

struct id_set {
    uint64_t *slots; /* 0: empty */
    uint32_t capacity, count;
    uint64_t greatest;
};

struct id_watch {
    uint16_t origin;
    uint64_t floor; /* ids are in order of time: below are the forgotten ones */
    int64_t now_ms; /* when it was asked last */
    uint64_t seed;
    struct id_set now, before;
};

/* What was made before `now_ms` can't be told from what was used before. */
void id_watch_init(struct id_watch *watch, uint16_t origin, int64_t now_ms, uint64_t seed);
void id_watch_done(struct id_watch *watch);
/* Another process makes this origin's ids from now on. */
void id_watch_begin(struct id_watch *watch, int64_t now_ms);
/* 0: it is used now; -EACCES: another origin's; -EALREADY: it was used; -ESTALE: too old to tell
 * (never because the clock went back); -ENOMEM. */
int id_watch_take(struct id_watch *watch, const struct id *id, int64_t now_ms);
