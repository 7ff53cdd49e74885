/*
 * Parcels: accepted messages whose bytes are still in memory, so that the usual small message is
 * delivered without being read back from disk. The cache is bounded in bytes and in time; the
 * oldest go first, and what has gone is read from the spool.
 */
#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "base/table.h"
#include "mail/envelope.h"
#include "spool/record.h"

enum { PARCEL_SECONDS = 30 };

struct parcel {
    struct list link; /* among the cached, oldest first; not while its commit is under way */
    uint32_t handle;
    bool whole; /* `body` is all of the body */
    size_t bytes;
    uint32_t since;     /* parcels.seconds then */
    struct arena arena; /* all that follows points into it */
    struct envelope envelope;
    struct span header, body;
    struct spool_expansion *expansions;
    size_t expansion_count;
};

struct parcels {
    struct slab slab;
    struct table by_id;
    struct list cached;
    size_t bytes, limit;
    uint32_t seconds;
    uint64_t seed;
    uint64_t hits, misses;
};

void parcels_init(struct parcels *parcels, size_t limit_bytes, uint64_t seed);
void parcels_done(struct parcels *parcels);

/* Copies all and decodes the envelope. 0, -EBADMSG, -ENOMEM, -EEXIST when there is one with its
 * id. */
int parcel_new(struct parcels *parcels, struct span envelope, struct span header, struct span body,
               struct parcel **out);
/* Cached or not. NULL is fine. */
void parcel_free(struct parcels *parcels, struct parcel *parcel);
/* NULL when it isn't in memory (any more). Borrowed until anything is cached or freed. */
struct parcel *parcel_find(const struct parcels *parcels, const struct id *id);
/* Its commit is over: it stays as long as there is room. That may be no longer than this call. */
void parcel_cache(struct parcels *parcels, struct parcel *parcel);

/* A second has gone: what lies here for long waits for a later attempt. Returns the bytes freed. */
size_t parcels_age(struct parcels *parcels);

/* The recipient of this index (children behind the envelope's own), or NULL. Lives as long as the
 * parcel. */
const struct envelope_recipient *parcel_recipient(const struct parcel *parcel, uint32_t index);
