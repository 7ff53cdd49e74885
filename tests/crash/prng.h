/*
 * The only source of chance in the simulation: the same seed gives the same run, on every machine.
 * SplitMix64 (Steele, Lea, Flood 2014).
 */
#pragma once

#include "base/span.h"

struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *p)
{
    uint64_t z = p->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 … below-1; 0 when `below` is 0. */
static inline uint64_t prng_below(struct prng *p, uint64_t below)
{
    return below ? prng_next(p) % below : 0;
}

/* True in `of` out of 10,000. Draws nothing when the chance is none. */
static inline bool prng_chance(struct prng *p, unsigned of)
{
    return of != 0 && prng_below(p, 10000) < of;
}

static inline void prng_fill(struct prng *p, void *data, size_t size)
{
    uint8_t *at = data;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t value = prng_next(p);
        memcpy(at, &value, 8);
    }
    uint64_t value = prng_next(p);
    memcpy(at, &value, size);
}
