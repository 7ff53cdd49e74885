/*
 * What programs of seeded lives have in common: their options, which seed it was, and mutants.
 *
 *     NAME [--seed N] [--seeds N] [--steps N] [--mutant NAME] [--expect-failure] [--ambush] [-v]
 *
 * A seed that breaks a rule is printed and replays. Exit code 0: no rule was broken; 1: one was; 2:
 * wrong use. With --expect-failure 0: one of the seeds broke a rule or crashed; 1: none did, so the
 * program is blind for this mutant.
 */
#pragma once

#include "base/span.h"

struct lives_wishes {
    uint64_t seed, seeds, steps;
    const char *mutant; /* NULL: none */
    bool verbose, expect_failure, ambush;
};

struct lives {
    const char *name;
    /* A whole life; false: it broke a rule, and lives_tell_failure() has said so. */
    bool (*run)(const struct lives_wishes *wishes, uint64_t seed);
    uint64_t (*steps)(void); /* in all lives so far */
    void (*tell)(uint64_t seeds, double took_s);
    bool ambushes; /* it knows --ambush */
};

/* The exit code. */
int lives_main(int argc, char **argv, const struct lives *lives);
/* Which rule, and how to see it again. */
void lives_tell_failure(const struct lives_wishes *wishes, const char *name, uint64_t seed,
                        uint64_t step, const char *rule);
