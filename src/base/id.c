/*
 * An id is one number of 80 bits, most significant byte first: that is what makes memcmp() and the
 * text sort by time. 80 is 16 digits of 5 bits, so no digit holds bits that mean nothing.
 */
#include "base/id.h"

#include <errno.h>

/* A clock that goes back by less than this stays where it was; by more, it is followed. */
enum { COUNTER_BITS = 22, WAITS_MS = 86400 * 1000 };

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_maker_init(struct id_maker *maker, uint16_t origin, uint32_t random_start)
{
    *maker =
        (struct id_maker){.counter = random_start & ((1u << COUNTER_BITS) - 1), .origin = origin};
}

struct id id_make(struct id_maker *maker, int64_t wall_us)
{
    uint64_t ms = wall_us > 0 ? (uint64_t)wall_us / 1000 : 0;
    struct id id;

    if (ms < maker->last_ms && maker->last_ms - ms < WAITS_MS)
        /* Going on from the last time with the counter keeps ids unique: the same millisecond
         * may come twice. */
        ms = maker->last_ms;
    maker->counter = (maker->counter + 1) & ((1u << COUNTER_BITS) - 1);
    if (maker->counter == 0 && ms == maker->last_ms)
        ms++;
    maker->last_ms = ms;

    unsigned __int128 value = (unsigned __int128)(ms & ((UINT64_C(1) << 42) - 1)) << 38 |
                              (unsigned __int128)maker->origin << COUNTER_BITS | maker->counter;
    for (int i = ID_BYTES - 1; i >= 0; i--, value >>= 8)
        id.bytes[i] = (uint8_t)value;
    return id;
}

void id_format(const struct id *id, char out[static ID_TEXT + 1])
{
    unsigned bits = 0, have = 0;
    size_t at = 0;

    for (size_t i = 0; i < ID_BYTES; i++) {
        bits = bits << 8 | id->bytes[i];
        have += 8;
        while (have >= 5) {
            have -= 5;
            out[at++] = digits[bits >> have & 31];
        }
        /* The bits that are still to be written; without this, old ones would run out
         * of the top. */
        bits &= (1u << have) - 1;
    }
    out[at] = '\0';
}

/* Crockford's base 32 leaves out I, L, O, U so that they can be read for what they resemble;
 * U is none. */
static int digit_value(char c)
{
    c = ascii_lower(c);
    if (c == 'o')
        c = '0';
    if (c == 'i' || c == 'l')
        c = '1';
    for (int i = 0; i < 32; i++)
        if (ascii_lower(digits[i]) == c)
            return i;
    return -1;
}

int id_parse(struct span text, struct id *out)
{
    struct id id;
    unsigned bits = 0, have = 0;
    size_t at = 0;

    if (text.size != ID_TEXT)
        return -EINVAL;
    for (size_t i = 0; i < ID_TEXT; i++) {
        int value = digit_value(text.data[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 5 | (unsigned)value;
        have += 5;
        if (have >= 8) {
            have -= 8;
            id.bytes[at++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    *out = id;
    return 0;
}

int64_t id_time_ms(const struct id *id)
{
    uint64_t top = 0;
    for (int i = 0; i < 6; i++)
        top = top << 8 | id->bytes[i];
    return (int64_t)(top >> 6);
}

uint16_t id_origin(const struct id *id)
{
    const uint8_t *b = id->bytes;

    return (uint16_t)(((unsigned)b[5] << 16 | (unsigned)b[6] << 8 | b[7]) >> 6);
}

bool id_is_zero(const struct id *id)
{
    static const struct id zero;
    return id_equal(id, &zero);
}
