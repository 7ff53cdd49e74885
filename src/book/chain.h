/*
 * The hash chain: one link for each event of a ledger file, a chain for each lane, in the lane's
 * own order, so that a book that is folded again from the same log has the same chain.
 *
 *   commitment = SHA-256 over, for each personal field that isn't empty, in the order of enum
 *                chain_personal:  number of the field (u8) || HMAC-SHA256(key, name || 0 || value)
 *   link       = SHA-256(link before || plain fields || commitment)
 *   first      = SHA-256("postbuch book 1" || 0 || kind of file (u8) || week (u32) || lane (u32))
 *
 * The ledger stores commitment and link of each event. So a person's values and the key can be
 * erased and the chain still verifies, while nobody can try out values against what is left. The
 * bytes are fixed for ever: docs/formats/book.md.
 */
#pragma once

#include "book/week.h"
#include "mail/event.h"

enum { CHAIN_HASH_BYTES = 32 };

struct chain_hash {
    uint8_t bytes[CHAIN_HASH_BYTES];
};

/* The order and the numbers are part of the format. */
enum chain_personal {
    CHAIN_SENDER,
    CHAIN_RECIPIENT,
    CHAIN_ORIGINAL,
    CHAIN_MESSAGE_ID,
    CHAIN_CLIENT_IP,
    CHAIN_HELO,
    CHAIN_AUTH,
    CHAIN_IP,
    CHAIN_REPLY,
    CHAIN_PERSONAL_COUNT
};

/* All that an event says. What doesn't belong to its kind is zero or empty. */
struct chain_record {
    uint8_t kind; /* enum event_kind */
    struct id message;
    uint32_t recipient_index; /* EVENT_NO_RECIPIENT: none */
    uint32_t parent;          /* of an accepted child: what was expanded; else EVENT_NO_RECIPIENT */
    int64_t time_us;
    int64_t next_attempt_us;
    int64_t until_us;
    uint32_t count;
    uint32_t actor_uid;
    struct span status;
    struct span host;
    struct span remote_id;
    struct span tls;
    struct span phase;
    struct span service;
    struct span protocol;
    struct id session;
    struct id reference;
    uint16_t port;
    uint64_t size_bytes;
    uint8_t digest[ENVELOPE_DIGEST_BYTES];
    struct span personal[CHAIN_PERSONAL_COUNT];
};

struct chain;

/* 0 or -ENOMEM. One serves any number of chains, one call at a time. */
int chain_new(struct chain **out);
/* NULL is fine. */
void chain_free(struct chain *chain);

/* What stands before a chain's first link. 0 or -EIO (libcrypto failed); the same for
 * the next two. */
int chain_first(struct chain *chain, enum week_kind kind, int week, uint32_t lane,
                struct chain_hash *out);
/* `key`: of the recipient or event, the ENVELOPE_KEY_BYTES that erasing deletes. */
int chain_commit(struct chain *chain, const uint8_t key[ENVELOPE_KEY_BYTES],
                 const struct chain_record *record, struct chain_hash *out);
int chain_link(struct chain *chain, const struct chain_hash *before,
               const struct chain_record *record, const struct chain_hash *commitment,
               struct chain_hash *out);

/* What a finding of the audit says for good, in 80 bits, which an acknowledgement names: so another
 * one, also of the same entry, isn't acknowledged with it. 0, -EIO or -ENOMEM.
 *
 *   token = first 10 bytes of SHA-256("postbuch finding 1" || 0 || what (u8) || message ||
 *                                     recipient_index (u32) || facts) */
int chain_token(struct chain *chain, uint8_t what, const struct id *message,
                uint32_t recipient_index, struct span facts, struct id *out);

static inline bool chain_hash_equal(const struct chain_hash *a, const struct chain_hash *b)
{
    return memcmp(a->bytes, b->bytes, CHAIN_HASH_BYTES) == 0;
}
