/*
 * The queue's state in memory: one row per message that waits, found by id, and its recipients.
 * It is only ever changed by what is sealed, and by recovery. Counts on the side what lives in each
 * segment (rule 5).
 *
 * Every change is idempotent: applying a record twice is applying it once (rule 3).
 *
 * One thread, the owner's; nothing blocks. What can fail for want of memory (new rows, names) is
 * apart from what applies sealed records, which can't: a seal must never be half applied.
 */
#pragma once

#include "base/slab.h"
#include "spool/domains.h"
#include "spool/segment.h"
#include "spool/spool.h"

/* Bytes of one message in one bulk segment, all its extents there together, with what fills up
 * their last blocks: copying them frees none of it. */
struct spool_extent_use {
    struct segment *segment;
    uint64_t bytes;
};

/* Which bulk segments a message's bytes lie in. */
struct spool_extents {
    struct segment *home; /* of the message, when it is in a row */
    uint32_t count;
    struct spool_extent_use uses[];
};

struct index {
    uint32_t *buckets; /* handles of rows */
    size_t bucket_count;
    struct domains domains;
    struct slab singles; /* rows with one recipient: most */
    struct slab larger;  /* pointers to all others; their handles have INDEX_LARGER set */
    uint64_t seed;       /* of index_sender_hash() */
    uint64_t messages, waiting, held, set_aside; /* rows; recipients; recipients; rows */
    uint64_t unsealed; /* of those waiting: recipients of messages that aren't sealed */
    uint64_t row_bytes;
};

#define INDEX_LARGER (UINT32_C(1) << 31)

static inline struct spool_message *index_row(const struct index *index, uint32_t handle)
{
    if (handle & INDEX_LARGER)
        return *(struct spool_message **)slab_at(&index->larger, handle & ~INDEX_LARGER);
    return handle ? (struct spool_message *)slab_at(&index->singles, handle) : NULL;
}

/* For walking all: the first one in a bucket, and the one behind it; NULL at the end. */
static inline struct spool_message *index_first(const struct index *index, size_t bucket)
{
    return index_row(index, index->buckets[bucket]);
}

static inline struct spool_message *index_next(const struct index *index,
                                               const struct spool_message *message)
{
    return index_row(index, message->next);
}

/* Its bytes in bulk segments; NULL when all are inline. */
static inline struct spool_extents *index_bulk(const struct spool_message *message)
{
    return message->has_bulk ? message->place.bulk : NULL;
}

/* The segment of its record; NULL when it has none. */
static inline struct segment *index_home(const struct spool_message *message)
{
    return message->has_bulk ? message->place.bulk->home : message->place.home;
}

/* A change of one recipient, as a STATUS says it. */
struct index_change {
    uint32_t recipient;
    uint32_t domain; /* when it `reroutes`: where it goes from now on, one use of it */
    bool reroutes;
    uint8_t outcome;
    uint16_t attempts;
    int64_t next_attempt_us;
};

/* A row for all recipients that no expansion closed; not in the index yet. 0, -ENOMEM, or -EINVAL
 * when an expansion's parent doesn't exist or has no child. */
int index_new_message(struct index *index, const struct envelope *envelope,
                      const struct spool_expansion *expansions, size_t expansion_count,
                      int64_t first_attempt_us, uint64_t size_bytes, struct spool_message **out);
/* As after recovery: `count` empty rows that the caller fills, domains used by each. NULL: no
 * memory. */
struct spool_message *index_new_rows(struct index *index, uint32_t count);

/* Interns the domain of `address` for a row that has none yet. 0 or -ENOMEM. */
int index_set_domain(struct index *index, struct spool_recipient *recipient, struct span address);
/* An EXPAND, in replay: its parent is closed and its children wait. The message's row is another
 * one after. 0, also when it was applied before, or -ENOMEM. */
int index_expand(struct index *index, struct spool_message *message,
                 const struct spool_expansion *expansion, uint32_t first_child);

/* What follows the last @, or "". */
struct span index_domain_of(struct span address);
/* As spool_sender_hash(). */
uint32_t index_sender_hash(const struct index *index, struct span sender);

/* 0; -EEXIST when a message of this id is in; -ENOMEM. The row is then the index's. */
int index_add(struct index *index, struct spool_message *message);
/* One that was added as unsealed is that no more. */
void index_seal(struct index *index, struct spool_message *message);
/* NULL when it isn't in. Also messages that aren't sealed yet: spool_find() leaves these out. */
struct spool_message *index_find(const struct index *index, const struct id *id);
/* Tell the processor what will be looked for soon: first the one, and when that is there the other.
 */
void index_fetch_bucket(const struct index *index, const struct id *id);
void index_fetch_row(const struct index *index, const struct id *id);
/* Takes it out, gives up its place in its segments. The row is still the caller's. */
void index_remove(struct index *index, struct spool_message *message);
/* Frees a row that is in no index, with its list of extents and its uses of names. NULL is fine. */
void index_free_message(struct index *index, struct spool_message *message);

/* The row of the recipient with this index; NULL when there is none, or when it is closed. */
struct spool_recipient *index_recipient(struct spool_message *message, uint32_t recipient);

/* Where its record lies from now on; `home` NULL: nowhere. Counts it in the segments. */
void index_set_home(struct spool_message *message, struct segment *home, uint32_t offset,
                    uint32_t meta_bytes);
/* Adds the blocks of an extent in a segment to a list that has room for another one. */
void index_count_use(struct spool_extents *extents, struct segment *segment, uint64_t bytes,
                     uint32_t block_bytes);
/* Takes over `extents` (malloc'ed; may be NULL), frees those of before. */
void index_set_extents(struct spool_message *message, struct spool_extents *extents);

/* The recipient it changed, NULL when it isn't waiting. Takes the use of change->domain over. */
struct spool_recipient *index_apply(struct index *index, struct spool_message *message,
                                    const struct index_change *change);

/* Bytes, near enough for status. */
uint64_t index_memory(const struct index *index);
/* Frees all rows; the index is as new, with its seed. */
void index_done(struct index *index);
