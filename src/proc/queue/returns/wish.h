/*
 * What the sender of a message wants to be told about one of its recipients (RFC 3461), when that
 * has been expanded and as far as the configuration lets him. Pure.
 */
#pragma once

#include "conf/part.h"
#include "spool/record.h"

/* A message's envelope and expansions, from memory or from disk. */
struct wish_source {
    const struct envelope *envelope;
    const struct spool_expansion *expansions;
    size_t expansion_count;
};

/* The wish about the recipient of this index. One that became several is not told of each one's
 * delivery, but that there are several (RFC 3461 5.2.7.3). */
struct envelope_wish wish_find(const struct wish_source *source, uint32_t recipient);

/* What the next station is told that the sender calls this recipient (RFC 3461 5.2.1): his own
 * word, or the address that he wrote when it isn't the one any more; "" for none. In `arena`. */
struct span wish_original(const struct envelope_wish *wish,
                          const struct envelope_recipient *recipient, struct arena *arena);

/* May the sender have receipts of ours? As the configuration says: all, none, or only senders of
 * our own domains and users. */
bool wish_may_have_receipts(const struct conf_queue *conf, const struct envelope *envelope);
