/*
 * simulate: lives of a spool on a disk that forgets, tears and fails, each by its seed, each judged
 * by a model. lives.h has its options.
 */
#include "lives.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>

static struct world_statistics sums;

static void add(const struct world_statistics *s)
{
    uint64_t *sum = (uint64_t *)&sums;
    const uint64_t *one = (const uint64_t *)s;
    for (size_t i = 0; i < sizeof sums / sizeof *sum; i++)
        sum[i] += one[i];
}

static bool run_seed(const struct lives_wishes *wishes, uint64_t seed)
{
    struct world world;
    if (!world_init(&world, seed, wishes->mutant, wishes->verbose)) {
        fprintf(stderr, "no such mutant: %s\n", wishes->mutant);
        exit(2);
    }
    world.only_ambush = wishes->ambush;
    world.stumbling = seed % 3 == 2;
    world.names_stick = seed % 5 == 4;
    if (world.names_stick) /* and no checkpoint: recovery reads all segments that are there */
        world.options.checkpoint_segments = 1000;
    world.hoards = seed % 4 == 0;
    if (world.hoards) { /* what lives moves often, and not all of it into one segment */
        world.options.segment_bytes = 128 * 1024;
        world.options.compact_percent = 75;
        world.options.group_bytes = 16384;
    }
    world.crowds = seed % 14 == 3;
    world.lags = seed % 11 == 8;
    world.restless = seed % 13 == 5;
    world.resizes = seed % 9 == 6 && !world.tight;
    world.jostles = seed % 6 == 0;
    world.aborts = seed % 5 == 3;
    if (world
            .aborts) /* what one task writes lies in several segments, which are closed meanwhile */
        world.options.bulk_segment_bytes = 2 * (uint64_t)world.options.extent_bytes;
    world.is_littered = seed % 7 == 3 && !world.tight;
    world.is_cramped = seed % 10 == 5;
    if (world.is_cramped) { /* many small checkpoints of many parts, and none is long in coming */
        world.options.checkpoint_rows = 1 + (uint32_t)(seed % 7);
        world.options.checkpoint_segments = 1;
        world.options.retry_us = 10000;
    }
    world.stretches = seed % 9 == 3 && !world.tight;
    if (world.stretches) /* or what is at the limits fits none */
        world.options.segment_bytes = 1024 * 1024;
    /* Few, since each of these lives takes seconds. */
    world.huge = seed % 50 == 7 && !wishes->ambush && !wishes->expect_failure;
    workload_run(&world, wishes->steps);
    bool failed = model_failed(&world.model);
    if (failed)
        lives_tell_failure(wishes, "simulate", seed, world.statistics.steps, world.model.failure);
    add(&world.statistics);
    world_done(&world);
    return !failed;
}

static void tell(uint64_t seeds, double took)
{
    printf("%lu seeds, %lu steps (%.0f/s), %lu store operations; %lu messages, %lu outcomes, %lu "
           "events, %lu folded; %lu crashes, %lu recoveries (%lu cut), %lu faults, %lu refused; "
           "%lu segments compacted, %lu recycled\n",
           (unsigned long)seeds, (unsigned long)sums.steps, (double)sums.steps / took,
           (unsigned long)sums.operations, (unsigned long)sums.accepted,
           (unsigned long)sums.statuses, (unsigned long)sums.events, (unsigned long)sums.folded,
           (unsigned long)sums.crashes, (unsigned long)sums.recoveries,
           (unsigned long)sums.cut_recoveries, (unsigned long)sums.faults,
           (unsigned long)sums.refused, (unsigned long)sums.compacted,
           (unsigned long)sums.recycled);
}

static uint64_t steps_so_far(void)
{
    return sums.steps;
}

int main(int argc, char **argv)
{
    return lives_main(argc, argv, &(struct lives){"simulate", run_seed, steps_so_far, tell, true});
}
