/*
 * What the scheduler's tests share: a scheduler with a replayed clock and short words for its
 * calls.
 */
#pragma once

#include "../unit.h"

#include "sched/sched.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

struct replay {
    struct sched *sched;
    int64_t now;
    int64_t due; /* of the last failure */
};

static inline struct sched_config replay_config(void)
{
    return (struct sched_config){
        .retry = {.first_ms = 5 * MINUTE, .max_ms = 4 * HOUR, .give_up_ms = 4 * DAY},
        .windows = {{4, 32}, {2, 8}},
        .shares = {{UINT32_MAX, UINT32_MAX, UINT32_MAX}, {UINT32_MAX, UINT32_MAX, UINT32_MAX}},
        .lost_pause_ms = 2 * SECOND,
        .seed = 42,
    };
}

static inline struct replay replay_start(void)
{
    struct sched_config config = replay_config();
    struct replay r = {.now = DAY};
    assert_int_equal(sched_new(&config, &r.sched), 0);
    return r;
}

static inline void replay_end(struct replay *r)
{
    sched_free(r->sched);
}

/* Owners are numbers here. */
static inline void *owner_of(uint32_t number)
{
    return (void *)(uintptr_t)number;
}

static inline uint32_t number_of(const struct sched *sched, uint32_t item)
{
    return (uint32_t)(uintptr_t)sched_owner(sched, item);
}

/* Senders are hashes. */
static inline uint32_t hash_of(const char *sender)
{
    uint32_t hash = 0;

    for (; *sender; sender++)
        hash = hash * 31 + (unsigned char)*sender;
    return hash;
}

static inline uint32_t replay_add(struct replay *r, uint32_t owner, const char *destination,
                                  const char *sender)
{
    struct sched_entry entry = {.owner = owner_of(owner),
                                .destination = span_from_cstr(destination),
                                .sender = hash_of(sender),
                                .deadline_ms = r->now + 4 * DAY};
    uint32_t item = 0;
    assert_int_equal(sched_add(r->sched, &entry, r->now, &item), 0);
    return item;
}

/* The owner of the next item, or 0; the item is left in *out. */
static inline uint32_t replay_take_item(struct replay *r, uint32_t *out)
{
    *out = sched_take(r->sched, ~0u, r->now);
    return *out ? number_of(r->sched, *out) : 0;
}

static inline uint32_t replay_take(struct replay *r)
{
    uint32_t item;
    return replay_take_item(r, &item);
}

static inline enum sched_verdict replay_outcome(struct replay *r, uint32_t item,
                                                enum sched_result result)
{
    return sched_outcome(r->sched, item, result, SPAN("connection refused"), r->now, &r->due);
}

/* The next one that its site's failure gives up, or 0. */
static inline uint32_t replay_expired(struct replay *r)
{
    uint32_t looks = UINT32_MAX;
    return sched_take_expired(r->sched, &looks);
}
