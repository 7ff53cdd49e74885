/*
 * Hashes, checksums and places: what reader and writer of the finding aid must agree on.
 */
#include "book/find.h"

#include <errno.h>
#include <xxhash.h>

/* Longer texts are hashed by their start. */
enum { TEXT_MAX = 1024, ORDINAL_BITS = 15, HASH_BITS = 32 };

static struct span without_angles(struct span text)
{
    bool both = text.size >= 2 && text.data[0] == '<' && text.data[text.size - 1] == '>';

    return both ? span_of(text.data + 1, text.size - 2) : text;
}

/* Seeded by the file's own random number: nobody outside can choose texts that fall together and
 * make each search look at thousands of messages. */
uint32_t find_hash(int64_t seed, enum find_kind kind, struct span text)
{
    char plain[1 + TEXT_MAX];
    size_t size = 1;

    if (kind == FIND_MESSAGE_ID)
        text = without_angles(text);
    plain[0] = (char)kind;
    for (size_t i = 0; i < text.size && size < sizeof(plain); i++)
        plain[size++] = kind == FIND_ADDRESS ? ascii_lower(text.data[i]) : text.data[i];
    return (uint32_t)XXH3_64bits_withSeed(plain, size, (uint64_t)seed);
}

void find_put_hash(uint32_t hash, uint8_t out[static FIND_HASH_BYTES])
{
    for (int i = 0; i < FIND_HASH_BYTES; i++)
        out[i] = (uint8_t)(hash >> (24 - 8 * i));
}

uint32_t find_get_hash(const struct find_key *key)
{
    const uint8_t *b = key->bytes;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_sum(int64_t number, const void *keys, size_t bytes,
                    uint8_t out[static FIND_SUM_BYTES])
{
    find_put_hash((uint32_t)XXH3_64bits_withSeed(keys, bytes, (uint64_t)number), out);
}

/* The place goes into the sum: a row that was put elsewhere whole is damaged as well. */
size_t find_seal(int64_t number, struct find_key *keys, size_t count)
{
    put_sum(number, keys, count * FIND_KEY_BYTES, keys[count].bytes);
    return count * FIND_KEY_BYTES + FIND_SUM_BYTES;
}

int find_unseal(int64_t number, struct span value, size_t max, struct find_key *out,
                size_t *out_count)
{
    uint8_t sum[FIND_SUM_BYTES];
    size_t bytes = value.size - FIND_SUM_BYTES;

    *out_count = 0;
    if (value.size < FIND_SUM_BYTES || bytes % FIND_KEY_BYTES || bytes / FIND_KEY_BYTES > max)
        return -EUCLEAN;
    put_sum(number, value.data, bytes, sum);
    if (memcmp(sum, value.data + bytes, sizeof(sum)) != 0)
        return -EUCLEAN;
    memcpy(out, value.data, bytes);
    *out_count = bytes / FIND_KEY_BYTES;
    return 0;
}

int64_t find_place(uint32_t run, uint32_t hash, uint32_t ordinal)
{
    return (int64_t)((((uint64_t)run << HASH_BITS | hash) << ORDINAL_BITS) | ordinal);
}

int64_t find_place_end(uint32_t run)
{
    return find_place(run + 1, 0, 0);
}
