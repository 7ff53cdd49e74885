/*
 * simulate: lives of a spool on a disk that forgets, tears and fails, each by its seed, each judged
 * by a model. A seed that breaks a rule is printed and replays:
 *
 *     simulate [--seed N] [--seeds N] [--steps N] [--mutant NAME] [--expect-failure] [--ambush]
 *     [-v]
 *
 * Exit code 0: no rule was broken; 1: one was; 2: wrong use. With --expect-failure 0: one of the
 * seeds broke a rule or crashed; 1: none did, so the simulation is blind for this mutant.
 */
#include "workload.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct settings {
    uint64_t seed, seeds, steps;
    const char *mutant;
    bool verbose, expect_failure, ambush;
};

static struct world_statistics sums;
static uint64_t current_seed;

/* So that an assertion or a sanitizer's stop can be replayed, too. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void tell_seed(void)
{
    char line[64];
    int size = snprintf(line, sizeof line, "\ncrashed in seed %lu\n", (unsigned long)current_seed);
    if (write(STDOUT_FILENO, line, (size_t)size) < 0)
        _exit(1);
}

static void on_abort(int signal_number)
{
    tell_seed();
}

static void watch_for_crashes(void)
{
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_seed);
}

static void add(const struct world_statistics *s)
{
    uint64_t *sum = (uint64_t *)&sums;
    const uint64_t *one = (const uint64_t *)s;
    for (size_t i = 0; i < sizeof sums / sizeof *sum; i++)
        sum[i] += one[i];
}

static bool run_seed(const struct settings *settings, uint64_t seed)
{
    struct world world;
    current_seed = seed;
    if (!world_init(&world, seed, settings->mutant, settings->verbose)) {
        fprintf(stderr, "no such mutant: %s\n", settings->mutant);
        exit(2);
    }
    world.only_ambush = settings->ambush;
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
    world.huge = seed % 50 == 7 && !settings->ambush && !settings->expect_failure;
    workload_run(&world, settings->steps);
    bool failed = model_failed(&world.model);
    if (failed)
        printf("\nseed %lu, step %lu: %s\nreplay: simulate --seed %lu --steps %lu%s%s%s -v\n",
               (unsigned long)seed, (unsigned long)world.statistics.steps, world.model.failure,
               (unsigned long)seed, (unsigned long)settings->steps,
               settings->mutant ? " --mutant " : "", settings->mutant ? settings->mutant : "",
               settings->ambush ? " --ambush" : "");
    add(&world.statistics);
    world_done(&world);
    return !failed;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_progress(uint64_t done, uint64_t all, double since)
{
    if (!isatty(STDERR_FILENO))
        return;
    double took = seconds() - since;
    fprintf(stderr, "\r%lu of %lu seeds, %lu steps, %.0f steps/s, %.0f s left ",
            (unsigned long)done, (unsigned long)all, (unsigned long)sums.steps,
            (double)sums.steps / took, took / (double)done * (double)(all - done));
}

static void summary(uint64_t seeds, double took)
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

static int usage(void)
{
    fprintf(stderr, "usage: simulate [--seed N] [--seeds N] [--steps N] [--mutant NAME] "
                    "[--expect-failure] [--ambush] [-v]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct settings *out)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},     {"seeds", required_argument, NULL, 'n'},
        {"steps", required_argument, NULL, 'p'},    {"mutant", required_argument, NULL, 'm'},
        {"expect-failure", no_argument, NULL, 'x'}, {"ambush", no_argument, NULL, 'a'},
        {"verbose", no_argument, NULL, 'v'},        {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        struct span argument = span_from_cstr(optarg);
        int r = 0;
        switch (option) {
        case 's':
            r = span_to_u64(argument, UINT64_MAX, &out->seed);
            break;
        case 'n':
            r = span_to_u64(argument, UINT64_MAX, &out->seeds);
            break;
        case 'p':
            r = span_to_u64(argument, UINT64_MAX, &out->steps);
            break;
        case 'm':
            out->mutant = optarg;
            break;
        case 'a':
            out->ambush = true;
            break;
        case 'x':
            out->expect_failure = true;
            break;
        case 'v':
            out->verbose = true;
            break;
        default:
            return false;
        }
        if (r < 0)
            return false;
    }
    return optind == argc;
}

/* A mutant may well crash: so each of its seeds has a process of its own. True: caught. */
static bool run_mutant_seed(const struct settings *settings, uint64_t seed)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!settings->verbose && !freopen("/dev/null", "w", stderr)) /* an assertion's words */
            _exit(2);
        _exit(run_seed(settings, seed) ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("fork");
        exit(2);
    }
    if (status == 0)
        return false;
    printf("caught by seed %lu%s\n", (unsigned long)seed,
           WIFSIGNALED(status) ? ", by a crash" : "");
    return true;
}

static int run_mutant(const struct settings *settings)
{
    for (uint64_t i = 0; i < settings->seeds; i++)
        if (run_mutant_seed(settings, settings->seed + i))
            return 0;
    printf("not caught by %lu seeds\n", (unsigned long)settings->seeds);
    return 1;
}

static int run(const struct settings *settings)
{
    double since = seconds();
    for (uint64_t i = 0; i < settings->seeds; i++) {
        if (!run_seed(settings, settings->seed + i))
            return 1;
        if (i % 10 == 9)
            show_progress(i + 1, settings->seeds, since);
    }
    summary(settings->seeds, seconds() - since);
    return 0;
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = 1, .seeds = 1, .steps = 1000};
    if (!parse(argc, argv, &settings))
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    watch_for_crashes();
    return settings.expect_failure ? run_mutant(&settings) : run(&settings);
}
