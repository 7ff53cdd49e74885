#include "lives.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

void lives_tell_failure(const struct lives_wishes *wishes, const char *name, uint64_t seed,
                        uint64_t step, const char *rule)
{
    printf("\nseed %lu, step %lu: %s\nreplay: %s --seed %lu --steps %lu%s%s%s -v\n",
           (unsigned long)seed, (unsigned long)step, rule, name, (unsigned long)seed,
           (unsigned long)wishes->steps, wishes->mutant ? " --mutant " : "",
           wishes->mutant ? wishes->mutant : "", wishes->ambush ? " --ambush" : "");
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_progress(const struct lives *lives, uint64_t done, uint64_t all, double since)
{
    if (!isatty(STDERR_FILENO))
        return;
    double took = seconds() - since;
    uint64_t steps = lives->steps();
    fprintf(stderr, "\r%lu of %lu seeds, %lu steps, %.0f steps/s, %.0f s left ",
            (unsigned long)done, (unsigned long)all, (unsigned long)steps, (double)steps / took,
            took / (double)done * (double)(all - done));
}

static int usage(const struct lives *lives)
{
    fprintf(stderr,
            "usage: %s [--seed N] [--seeds N] [--steps N] [--mutant NAME] [--expect-failure]%s "
            "[-v]\n",
            lives->name, lives->ambushes ? " [--ambush]" : "");
    return 2;
}

static bool parse(int argc, char **argv, struct lives_wishes *out)
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

static bool run_seed(const struct lives *lives, const struct lives_wishes *wishes, uint64_t seed)
{
    current_seed = seed;
    return lives->run(wishes, seed);
}

/* A mutant may well crash: so each of its seeds has a process of its own. True: caught. */
static bool run_mutant_seed(const struct lives *lives, const struct lives_wishes *wishes,
                            uint64_t seed)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!wishes->verbose && !freopen("/dev/null", "w", stderr)) /* an assertion's words */
            _exit(2);
        _exit(run_seed(lives, wishes, seed) ? 0 : 1);
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

static int run_mutant(const struct lives *lives, const struct lives_wishes *wishes)
{
    for (uint64_t i = 0; i < wishes->seeds; i++)
        if (run_mutant_seed(lives, wishes, wishes->seed + i))
            return 0;
    printf("not caught by %lu seeds\n", (unsigned long)wishes->seeds);
    return 1;
}

static int run(const struct lives *lives, const struct lives_wishes *wishes)
{
    double since = seconds();
    for (uint64_t i = 0; i < wishes->seeds; i++) {
        if (!run_seed(lives, wishes, wishes->seed + i))
            return 1;
        if (i % 10 == 9)
            show_progress(lives, i + 1, wishes->seeds, since);
    }
    lives->tell(wishes->seeds, seconds() - since);
    return 0;
}

int lives_main(int argc, char **argv, const struct lives *lives)
{
    struct lives_wishes wishes = {.seed = 1, .seeds = 1, .steps = 1000};

    if (!parse(argc, argv, &wishes) || (wishes.ambush && !lives->ambushes))
        return usage(lives);
    setvbuf(stdout, NULL, _IOLBF, 0);
    watch_for_crashes();
    return wishes.expect_failure ? run_mutant(lives, &wishes) : run(lives, &wishes);
}
