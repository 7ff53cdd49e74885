/*
 * The follower: reads a lane's log from a position to a sealed limit, record by record, in the
 * log's order, for the book. It runs in another process than the spool and only reads; the limit
 * comes from there (spool_sealed_position()), so it never sees what isn't durable.
 *
 * Errors: 0 or -errno. Damage is not an error: it is given as a record of its own. One thread at a
 * time; nothing of the spool's memory is shared.
 */
#pragma once

#include "spool/record.h"
#include "spool/store.h"

struct spool_follower;

enum spool_followed_kind {
    SPOOL_FOLLOWED_MESSAGE,  /* envelope */
    SPOOL_FOLLOWED_EXPAND,   /* message, expansion, first_child, time_us */
    SPOOL_FOLLOWED_STATUS,   /* message, statuses */
    SPOOL_FOLLOWED_EVENT,    /* event: the bytes given to spool_event() */
    SPOOL_FOLLOWED_ALARM,    /* alarm: the spool's own event */
    SPOOL_FOLLOWED_MOVED,    /* message: only its place changed; envelope, expansions, waiting */
    SPOOL_FOLLOWED_SEAL,     /* the end of a group: a good place to commit */
    SPOOL_FOLLOWED_DAMAGED,  /* bytes from `position` to `next` are damaged */
    SPOOL_FOLLOWED_GAP,      /* segments between `position` and `next` are gone unread */
    SPOOL_FOLLOWED_RESTATED, /* message, statuses: all that waited; who isn't named had his end
                                before time_us, or in a STATUS that came before this */
    SPOOL_FOLLOWED_GONE,     /* segments between `position` and `next` had been let go before this
                                follower came: somebody read them, or they were taken away */
};

struct record_net;

/* All pointers are borrowed until the next call. */
struct spool_followed {
    enum spool_followed_kind kind;
    struct spool_position position;
    struct spool_position next; /* continue here after it */
    struct id message;
    const struct envelope *envelope;
    uint64_t header_bytes, body_bytes;
    const struct spool_expansion *expansion;
    uint32_t first_child;                     /* index of the expansion's first child */
    const struct spool_expansion *expansions; /* MOVED: all, in their order */
    size_t expansion_count;
    const struct record_net *waiting; /* MOVED: the recipients that waited, in order; the others
                                         had their end before time_us, or in a STATUS before */
    size_t waiting_count;
    const struct spool_status *statuses;
    size_t status_count;
    struct span event;
    const struct spool_alarm *alarm;
    int64_t time_us; /* EXPAND: acceptance; EVENT, SEAL: when it was written; MOVED, RESTATED: when
                        the segment was begun */
};

/* `from` {0, 0}: the oldest there is; else where an earlier `next` said. Owns `store` (opened
 * read-only here), also on failure. 0 or -errno. */
int spool_follower_new(struct store *store, struct spool_position from,
                       struct spool_follower **out);
/* May be read up to here from now on. Limits only grow. */
void spool_follower_set_limit(struct spool_follower *follower, struct spool_position limit);
/* 1: *out is the next record. 0: at the limit. <0: can't read, or -ENOMEM; the next call tries the
 * same record again. -ENOENT: the limit's own segment isn't there. Blocks.
 */
int spool_follower_next(struct spool_follower *follower, struct spool_followed *out);
/* Whether what can't be read (EIO) counts as damaged, or as a segment that is gone where it is the
 * header: the book must go on some day. */
void spool_follower_read_around(struct spool_follower *follower, bool on);
/* Closes the store. NULL is fine. */
void spool_follower_free(struct spool_follower *follower);
