/*
 * Connecting: the addresses of a way in their turn, two of a host against each other when the first
 * one is slow, until a station is there. Which is next is decided by smtp/client/walk.h.
 */
#pragma once

#include "proc/smtp/smtp.h"
#include "smtp/client/walk.h"

struct smtp_race;

struct smtp_race_owner {
    /* It had its turn for what is sent: no connection is made there. */
    bool (*leaves_out)(const struct smtp_race *race, const struct smtp_target *target);
    /* A connection to this one failed with errno `error` (positive); the race goes on. When that
     * was our own trouble, those under way are all that may still win. */
    void (*failed)(struct smtp_race *race, size_t target, int error);
    /* It is there; `fd` is the owner's now. May free the race. */
    void (*connected)(struct smtp_race *race, size_t target, int fd);
    /* No address is left. May free the race. */
    void (*over)(struct smtp_race *race);
};

struct smtp_attempt {
    struct smtp_race *race;
    int fd; /* -1: none */
    struct io_watch *watch;
    size_t target;
};

struct smtp_race {
    struct smtp_proc *proc;
    const struct smtp_race_owner *owner;
    struct smtp_walk walk;
    struct smtp_attempt attempts[SMTP_WALK_RACE_MAX];
    struct io_timer *timer;
};

/* `owner` is constant and borrowed; `proc` lives longer. */
void smtp_race_init(struct smtp_race *race, struct smtp_proc *proc,
                    const struct smtp_race_owner *owner);
/* Closes what is under way. */
void smtp_race_done(struct smtp_race *race);
/* Once. 0, perhaps after the owner was told all; -ENOMEM: he is told nothing. */
int smtp_race_begin(struct smtp_race *race, const struct smtp_target *targets, size_t count);
/* No descriptors, no memory: it has not even been tried. */
bool smtp_race_is_our_own(int error);
/* Such an error was told of in this race, and no connection since. */
static inline bool smtp_race_is_stopped(const struct smtp_race *race)
{
    return race->walk.stopped;
}
/* The session with the one that was connected went wrong: on to the next. */
void smtp_race_go_on(struct smtp_race *race, size_t target);

static inline const struct smtp_target *smtp_race_target(const struct smtp_race *race,
                                                         size_t target)
{
    return smtp_walk_target(&race->walk, target);
}
