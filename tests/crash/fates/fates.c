/*
 * fates: lives of the whole queue on a disk that forgets, tears and fails, each by its seed. What
 * those around it wrote down must fit together: each recipient of what was accepted comes to one
 * end, which is true. lives.h has its options.
 */
#include "life.h"
#include "lives.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>

enum { STARTS = 5, EMPTY_TURNS = 4000 };

static struct fates_statistics sums;

/* ---- what happens ---- */

static void pass(struct life *life)
{
    static const int64_t spans_ms[] = {1, 10, 100, 1000, 1000, 5000, 300000, 3600000, 14400000};
    size_t most = prng_chance(&life->prng, 300) ? ARRAY_SIZE(spans_ms) : 5;
    int64_t span_ms = spans_ms[prng_below(&life->prng, most)];

    life_pass(life, 1 + (int64_t)prng_below(&life->prng, (uint64_t)span_ms));
}

static void come_or_go(struct life *life)
{
    unsigned which = (unsigned)prng_below(&life->prng, CARRIERS_PLAYED);
    bool comes = prng_chance(&life->prng, 7000);

    switch (prng_below(&life->prng, 6)) {
    case 0:
    case 1:
        (comes ? carriers_join : carriers_leave)(life, which);
        break;
    case 2:
        (comes ? senders_join : senders_leave)(life);
        break;
    case 3:
        (comes ? senders_join_report : senders_leave_report)(life);
        break;
    case 4:
        world_join_directory(life->world);
        break;
    default:
        world_join_book(life->world);
        break;
    }
}

static void step(struct life *life)
{
    uint64_t dice = prng_below(&life->prng, 1000);

    life->statistics.steps++;
    if (dice < 120)
        senders_send(life);
    else if (dice < 150)
        senders_upload(life);
    else if (dice < 250)
        carriers_answer(life, false);
    else if (dice < 340)
        admin_act(life);
    else if (dice < 360)
        life->mood = prng_below(&life->prng, 4);
    else if (dice < 375)
        come_or_go(life);
    else if (dice < 400)
        log_fold(life);
    else if (dice < 405)
        life_rest(life);
    else if (dice < 410)
        life_reconfigure(life);
    else if (dice < 500)
        pass(life);
    else
        life_turn(life);
}

static bool is_empty(const struct life *life)
{
    struct spool_counts counts;

    spool_get_counts(life->world->queue.spool, &counts);
    return counts.messages == 0;
}

/* Faults come and go; then it ends, in the middle of something or in good order. */
static void live(struct life *life, uint64_t steps)
{
    life_start(life);
    if (prng_chance(&life->prng, 3000))
        store_sim_stop_after(life->disk, 1 + prng_below(&life->prng, 300));
    for (uint64_t i = 0; i < steps && !life_failed(life) && !store_sim_stopped(life->disk); i++) {
        if (prng_chance(&life->prng, 200) && life->number % 2 == 0)
            life_set_faults(life, !life->faulty);
        step(life);
    }
    if (life_failed(life) || store_sim_stopped(life->disk) || prng_chance(&life->prng, 7000))
        life_crash(life, prng_chance(&life->prng, 5000));
    else
        life_end(life);
}

/* All is well from here on, and what anybody holds is released. */
static void end_well(struct life *life)
{
    life_start(life);
    life->mood = MOOD_GOOD;
    life->slowness = 0;
    for (int i = 0; i < EMPTY_TURNS && !is_empty(life) && !life_failed(life); i++) {
        if (i % 200 == 0) {
            life_rest(life);
            admin_act_on_all(life, IPC_ACT_RELEASE);
            admin_act_on_all(life, IPC_ACT_RETRY);
        }
        carriers_answer(life, true);
        life_turn(life);
        life_pass(life, 1000);
    }
    life_rest(life);
    if (!is_empty(life))
        notes_fail(&life->notes, "the queue doesn't become empty");
    life_end(life);
    judge_all(life);
}

/* ---- seeds ---- */

static void add(const struct fates_statistics *s)
{
    uint64_t *sum = (uint64_t *)&sums;
    const uint64_t *one = (const uint64_t *)s;

    for (size_t i = 0; i < sizeof(sums) / sizeof(*sum); i++)
        sum[i] += one[i];
}

static unsigned mutants_of(const struct lives_wishes *wishes)
{
    if (!wishes->mutant)
        return 0;
    if (strcmp(wishes->mutant, "no-sync") == 0)
        return STORE_SIM_NO_LOG_SYNC;
    fprintf(stderr, "no such mutant: %s\n", wishes->mutant);
    exit(2);
}

static bool run(const struct lives_wishes *wishes, uint64_t seed)
{
    struct life life;

    log_open("fates", wishes->verbose ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    life_begin(&life, seed, mutants_of(wishes), wishes->verbose);
    for (int i = 0; i < STARTS && !life_failed(&life); i++)
        live(&life, wishes->steps / STARTS);
    if (!life_failed(&life))
        end_well(&life);
    bool failed = life_failed(&life);
    if (failed)
        lives_tell_failure(wishes, "fates", seed, life.statistics.steps, life.notes.failure);
    add(&life.statistics);
    life_free(&life);
    return !failed;
}

static uint64_t steps_so_far(void)
{
    return sums.steps;
}

static void tell(uint64_t seeds, double took)
{
    printf("%lu seeds, %lu steps (%.0f/s); %lu messages, %lu accepted, %lu attempts, %lu delivered "
           "(%lu again), %lu returned, %lu discarded, %lu removed; %lu reports, %lu acts; %lu "
           "crashes, %lu ends, %lu times a failing disk\n",
           (unsigned long)seeds, (unsigned long)sums.steps, (double)sums.steps / took,
           (unsigned long)sums.sent, (unsigned long)sums.accepted, (unsigned long)sums.attempts,
           (unsigned long)sums.delivered, (unsigned long)sums.doubled, (unsigned long)sums.returned,
           (unsigned long)sums.discarded, (unsigned long)sums.removed, (unsigned long)sums.reports,
           (unsigned long)sums.acts, (unsigned long)sums.crashes, (unsigned long)sums.ends,
           (unsigned long)sums.faulty);
}

int main(int argc, char **argv)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* a broken assertion of the world names its seed */
    return lives_main(argc, argv, &(struct lives){"fates", run, steps_so_far, tell, false});
}
