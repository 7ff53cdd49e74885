/*
 * Chance that comes again from the same seed (splitmix64): to spread load and to shuffle, so that
 * tests can replay it. Never for what nobody may guess.
 */
#pragma once

#include <stdint.h>

/* The next number. `state` is the seed at first. */
static inline uint64_t chance_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
