/*
 * cuts: a fixed workload is cut in every single store operation and recovered; with --recovery each
 * recovery is cut in every operation of its own, too. After each the spool must satisfy the rules
 * and serve on.
 *
 *     cuts [--seed N] [--every N] [--recovery] [--only N] [-v]
 *
 * The seed decides where in the operation the cut falls, what the disk makes of it, and whether the
 * power went or only the process. Exit code 0: all recovered.
 */
#include "workload.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    uint64_t seed, every, only;
    bool recovery, verbose;
};

static uint64_t cuts, second_cuts;

/* One life, cut in operation `cut` and its recovery in operation `second` (0: not). */
struct life {
    uint64_t cut, second;
    bool was_cut, second_was_cut, failed;
};

static void live(const struct settings *settings, struct life *life)
{
    struct world w;
    world_init(&w, settings->seed, NULL, settings->verbose);
    store_sim_stop_after(w.sim, life->cut);
    workload_fixed(&w);
    bool stopped = store_sim_stopped(w.sim);
    life->was_cut = stopped || w.statistics.cut_recoveries > 0; /* the very first opening */
    if (stopped && !model_failed(&w.model)) {
        world_crash(&w);
        uint64_t before = w.statistics.cut_recoveries;
        w.cut_recovery_at = life->second;
        world_start(&w, 0);
        life->second_was_cut = w.statistics.cut_recoveries > before;
    }
    if (!model_failed(&w.model))
        workload_end(&w);
    life->failed = model_failed(&w.model);
    if (life->failed)
        printf("\ncut %lu, recovery cut %lu: %s\nreplay: cuts --seed %lu --only %lu%s -v\n",
               (unsigned long)life->cut, (unsigned long)life->second, w.model.failure,
               (unsigned long)settings->seed, (unsigned long)life->cut,
               life->second ? " --recovery" : "");
    world_done(&w);
}

/* What isn't in the workload isn't cut. */
static bool workload_has_all(const struct settings *settings)
{
    struct world w;
    world_init(&w, settings->seed, NULL, false);
    workload_fixed(&w);
    world_stop(&w);
    const struct world_statistics *s = &w.statistics;
    printf("the workload: %lu operations; %lu messages, %lu outcomes, %lu bulk writes, %lu "
           "segments compacted, %lu recycled, %lu checkpoints\n",
           (unsigned long)s->operations, (unsigned long)s->accepted, (unsigned long)s->statuses,
           (unsigned long)s->bulk_writes, (unsigned long)s->compacted, (unsigned long)s->recycled,
           (unsigned long)s->checkpoints);
    bool all = s->accepted && s->statuses && s->bulk_writes && s->compacted && s->recycled &&
               s->checkpoints && !model_failed(&w.model);
    world_done(&w);
    return all;
}

/* True while there is something to cut and nothing fails. */
static bool cut_at(const struct settings *settings, uint64_t cut, bool *failed)
{
    struct life life = {.cut = cut};
    live(settings, &life);
    *failed = life.failed;
    if (life.failed || !life.was_cut)
        return false;
    cuts++;
    for (uint64_t second = 1; settings->recovery; second++) {
        life = (struct life){.cut = cut, .second = second};
        live(settings, &life);
        *failed = life.failed;
        if (life.failed)
            return false;
        if (!life.second_was_cut)
            break;
        second_cuts++;
    }
    return true;
}

static bool parse(int argc, char **argv, struct settings *out)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"every", required_argument, NULL, 'e'},
        {"only", required_argument, NULL, 'o'}, {"recovery", no_argument, NULL, 'r'},
        {"verbose", no_argument, NULL, 'v'},    {NULL, 0, NULL, 0}};
    int option, r = 0;
    while (r == 0 && (option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        struct span argument = span_from_cstr(optarg);
        if (option == 's')
            r = span_to_u64(argument, UINT64_MAX, &out->seed);
        else if (option == 'e')
            r = span_to_u64(argument, UINT64_MAX, &out->every);
        else if (option == 'o')
            r = span_to_u64(argument, UINT64_MAX, &out->only);
        else if (option == 'r')
            out->recovery = true;
        else if (option == 'v')
            out->verbose = true;
        else
            return false;
    }
    return r == 0 && optind == argc && out->every > 0;
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = 1, .every = 1};
    bool failed = false;
    if (!parse(argc, argv, &settings)) {
        fprintf(stderr, "usage: cuts [--seed N] [--every N] [--recovery] [--only N] [-v]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (settings.only) {
        cut_at(&settings, settings.only, &failed);
        return failed;
    }
    if (!workload_has_all(&settings)) {
        printf("the workload lacks something\n");
        return 1;
    }
    uint64_t first = 1 + settings.seed % settings.every;
    for (uint64_t cut = first; cut_at(&settings, cut, &failed); cut += settings.every)
        if (isatty(STDERR_FILENO) && cuts % 10 == 0)
            fprintf(stderr, "\r%lu cuts, %lu of a recovery ", (unsigned long)cuts,
                    (unsigned long)second_cuts);
    printf("%lu cuts, %lu of a recovery\n", (unsigned long)cuts, (unsigned long)second_cuts);
    return failed || cuts == 0;
}
