/*
 * The finding aid of a week's file: from an address, Message-ID, remote id or session to the
 * messages that have it. Such keys come in random order, and an index of their texts would have
 * each entry change a page for each key. So only a hash is kept, in sorted runs that are written
 * once: what came since the last run waits in one row (`fresh`), and runs of alike size are merged
 * into one four times as large.
 *
 *   fresh   one row: the seed of the hashes, and the keys that are in no run yet
 *   run     a row for each run: its number and how many keys it has
 *   find    the runs' keys, as many to a row as fit on a page; the row's number is that of the run
 *           (16 bits), the hash of its first key (32) and how many rows before it begin with the
 *           same hash (15), so the B-tree of the rows finds a hash by itself
 *
 * Each value of keys ends with a checksum over them and the number beside them (seed, place): a
 * damaged one would hide messages in silence.
 *
 * A hash proves nothing: who finds by it looks whether the message has the text. Without the row
 * in `fresh` there is no aid: who reads looks at every message, who writes makes it anew
 * (find_write.h). So it may be deleted, and must be when someone's values are erased.
 */
#pragma once

#include "base/id.h"
#include "book/db.h"

enum find_kind {
    FIND_ADDRESS = 'a',    /* without regard to case (ASCII) */
    FIND_MESSAGE_ID = 'm', /* with or without its < > */
    FIND_REMOTE_ID = 'r',
    FIND_SESSION = 's', /* the id's bytes */
};

enum {
    FIND_HASH_BYTES = 4,
    FIND_KEY_BYTES = FIND_HASH_BYTES + ID_BYTES,
    FIND_SUM_BYTES = 4,     /* smaller than a key */
    FIND_ROW_KEYS = 581,    /* what fits on a page of 8 KB */
    FIND_FRESH_KEYS = 4096, /* at most so many wait */
    FIND_RUNS_MAX = 4096,
    FIND_RUN_NUMBER_MAX = UINT16_MAX - 1,
    FIND_ORDINAL_MAX = INT16_MAX,
    FIND_LAST_RUN_KEYS = 1 << 21, /* such a run is merged no more; four smaller ones may become
                                     one of 8 million keys, which the ordinals can hold */
};

/* As on disk, so that keys are in order as bytes: the hash (big endian), then the message. */
struct find_key {
    uint8_t bytes[FIND_KEY_BYTES];
};

/* Of the text as the kind compares it (see above), 32 bits of XXH3. */
uint32_t find_hash(int64_t seed, enum find_kind kind, struct span text);
/* As a key begins with it. */
void find_put_hash(uint32_t hash, uint8_t out[static FIND_HASH_BYTES]);
uint32_t find_get_hash(const struct find_key *key);

/* Puts the checksum behind `count` keys, where there must be room for one more; their bytes with
 * it. */
size_t find_seal(int64_t number, struct find_key *keys, size_t count);
/* The keys of a value, at most `max`, to `out`. -EUCLEAN: damaged. */
int find_unseal(int64_t number, struct span value, size_t max, struct find_key *out,
                size_t *out_count);

/* A row's number: by run, then by hash, so the B-tree holds each run together and in order.
 * `ordinal` at most FIND_ORDINAL_MAX. */
int64_t find_place(uint32_t run, uint32_t hash, uint32_t ordinal);
/* The first number behind the run's. */
int64_t find_place_end(uint32_t run);
