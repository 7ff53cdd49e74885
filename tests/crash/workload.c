#include "workload.h"

enum { LARGEST_BODY = 40 << 20 };

static uint32_t draw_size(struct world *w)
{
    struct prng *prng = &w->prng;
    unsigned of_100 = (unsigned)prng_below(prng, 100);
    if (w->huge && prng_chance(prng, 200))
        return (uint32_t)prng_below(prng, LARGEST_BODY + 1);
    if (w->resizes && of_100 < 30)
        return (uint32_t)prng_below(prng, 400000);
    if (of_100 < 60)
        return (uint32_t)prng_below(prng, 2000);
    if (of_100 < 85)
        return (uint32_t)prng_below(prng, 20000);
    if (of_100 < 99)
        return (uint32_t)prng_below(prng, 200000);
    return (uint32_t)prng_below(prng, 3000000);
}

static void group_step(struct world *w)
{
    world_jostle(w, world_group);
}

static void task_step(struct world *w)
{
    world_jostle(w, world_task);
}

/* Mostly a little; now and then somebody sets the clock, forth or back. */
static void pass_time(struct world *w)
{
    const int64_t day_us = INT64_C(86400) * 1000000;
    if (prng_chance(&w->prng, 200))
        w->now_us += (int64_t)prng_below(&w->prng, 2 * (uint64_t)day_us) - day_us;
    else
        w->now_us += (int64_t)prng_below(&w->prng, prng_chance(&w->prng, 500) ? 100000000 : 100000);
}

/* A crash at one of the next operations, or at once; killed or without power. */
static void plan_crash(struct world *w)
{
    if (prng_below(&w->prng, 2))
        store_sim_stop(w->sim);
    else
        store_sim_stop_after(w->sim, 1 + prng_below(&w->prng, 20));
}

static void accept_step(struct world *w)
{
    if (w->stretches && w->model.live_count < 60 && prng_chance(&w->other, 100))
        world_accept_at_limit(w);
    else if (w->model.live_count < 60)
        world_accept(w, draw_size(w));
    else
        world_status(w, true);
}

static void status_step(struct world *w)
{
    world_status(w, false);
}

static void fold_step(struct world *w)
{
    enum { SPELL = 400, AWAKE = 60 };
    if (w->lags && w->statistics.steps % SPELL >= AWAKE)
        return;
    world_fold(w, 1 + (unsigned)prng_below(&w->prng, 30));
}

/* In restless lives each end, in order or not, is followed by some more at once. */
static void end_again(struct world *w)
{
    struct prng prng = {w->statistics.recoveries};

    for (uint64_t i = w->restless ? prng_below(&prng, 5) : 0; i && !model_failed(&w->model); i--) {
        if (prng_below(&prng, 2))
            world_crash(w);
        else
            world_stop(w);
        world_start(w, 3000);
    }
}

static void stop_step(struct world *w)
{
    world_stop(w);
    world_start(w, 0);
    end_again(w);
}

static void faults_step(struct world *w)
{
    world_set_faults(w, !w->faulty && prng_below(&w->prng, 2));
}

/* Where it lags, the one that comes then hasn't said yet what it has. */
static void book_step(struct world *w)
{
    world_book_crashes(w);
    if (w->lags)
        spool_book_synced(w->spool, (struct spool_position){0, 0});
}

struct step {
    unsigned weight;
    void (*act)(struct world *world);
};

/* Those behind the first PEACEFUL bring trouble. */
enum { PEACEFUL = 13 };

static const struct step steps[] = {{150, accept_step}, {150, world_upload},   {200, status_step},
                                    {40, world_event},  {400, group_step},     {300, task_step},
                                    {100, fold_step},   {30, world_sync_book}, {30, world_read},
                                    {50, pass_time},    {3, world_settle},     {5, book_step},
                                    {1, stop_step},     {10, plan_crash},      {15, faults_step}};

static void draw_step(struct world *w, size_t count)
{
    unsigned total = 0;
    for (size_t i = 0; i < count; i++)
        total += steps[i].weight;
    unsigned drawn = (unsigned)prng_below(&w->prng, total);
    for (size_t i = 0; i < count; i++) {
        if (drawn < steps[i].weight) {
            steps[i].act(w);
            break;
        }
        drawn -= steps[i].weight;
    }
    w->statistics.steps++;
    if (w->shaken > 0 && w->shaken-- && prng_chance(&w->prng, 300))
        plan_crash(w);
    if (store_sim_stopped(w->sim) && !model_failed(&w->model)) {
        world_crash(w);
        world_start(w, 3000);
        end_again(w);
    }
}

static void run_steps(struct world *w, uint64_t count, size_t kinds)
{
    world_start(w, 0);
    while (w->statistics.steps < count && !model_failed(&w->model)) {
        world_say(w, "-- step %lu", (unsigned long)w->statistics.steps);
        draw_step(w, kinds);
        world_check_threads(w);
        if (w->statistics.steps % 50 == 0)
            world_litter(w);
        if (w->hoards && w->spool && w->statistics.steps % 150 == 0)
            world_harm(w);
    }
}

static void fold_all(struct world *w)
{
    world_fold(w, 1000000);
    world_sync_book(w);
}

static bool is_anybody_left(const struct world *w)
{
    for (size_t i = 0; i < w->model.live_count; i++)
        if (!w->model.messages[w->model.live[i]].harmed)
            return true;
    return false;
}

/* The segments of those that were harmed stay; all that followed goes. Nobody comes back when only
 * the records say who is done. */
static void outlive(struct world *w)
{
    for (int i = 0; i < 300; i++) {
        world_event(w);
        if (i % 10 == 9)
            world_settle(w);
        if (i % 100 == 99)
            fold_all(w);
    }
    world_settle(w);
    for (int i = 0; i < 3 && !model_failed(&w->model); i++) {
        world_crash(w);
        world_start(w, 0);
    }
}

/* Each name that somebody else has taken costs a pause. */
static void get_past_litter(struct world *w)
{
    enum { PAUSES = 30 };

    for (int i = 0; w->is_littered && i < PAUSES && !model_failed(&w->model); i++) {
        w->now_us += 2 * w->options.retry_us;
        world_settle(w);
    }
}

/* Everything gets its fate; afterwards nothing may be left, in memory or (but for a few) on disk.
 */
static void drain(struct world *w)
{
    for (int rounds = 0; is_anybody_left(w) && rounds < 100000; rounds++) {
        if (model_failed(&w->model))
            return;
        world_status(w, true);
        if (rounds % 50 == 49)
            world_settle(w);
    }
    world_settle(w);
    fold_all(w);
    if (w->hoards)
        outlive(w);
    if (model_failed(&w->model))
        return;
    world_remove_harmed(w);
    fold_all(w);
    world_settle(w);
    get_past_litter(w);
    world_check_all(w);
    if (w->model.live_count > 0)
        model_fail(&w->model, "a message never goes");
}

static void check_space(struct world *w)
{
    struct spool_counts counts;
    spool_get_counts(w->spool, &counts);
    if (counts.messages || counts.waiting || counts.held)
        model_fail(&w->model, "the counts say that something is waiting");
    uint64_t spare = w->options.keep_segments + w->options.spare_segments +
                     w->options.free_segments + w->options.checkpoint_segments + 3;
    if (counts.log_segments > spare + w->options.keep_segments)
        model_fail(&w->model, "%lu log segments are left for nothing",
                   (unsigned long)counts.log_segments);
}

void workload_end(struct world *w)
{
    store_sim_stop_after(w->sim, 0);
    w->is_cramped = false;
    world_set_faults(w, false);
    world_make_room(w);
    w->stumbling = false;
    store_sim_set_stumbling(w->sim, 0, 1);
    w->now_us += 3600 * INT64_C(1000000);
    world_settle(w);
    if (!model_failed(&w->model))
        world_accept(w, 100);
    world_settle(w);
    fold_all(w);
    if (!model_failed(&w->model) && w->aborts)
        world_check_let_go(w);
    if (!model_failed(&w->model) && w->resizes)
        world_outgrow(w);
    if (model_failed(&w->model))
        return;
    world_crash(w);
    world_start(w, 0);
    if (!model_failed(&w->model))
        fold_all(w);
    if (!model_failed(&w->model))
        drain(w);
    if (!model_failed(&w->model))
        check_space(w);
}

void workload_run(struct world *w, uint64_t count)
{
    run_steps(w, count, ARRAY_SIZE(steps));
    if (!model_failed(&w->model))
        workload_end(w);
}

void workload_peaceful(struct world *w, uint64_t count)
{
    run_steps(w, count, PEACEFUL);
}

/* ---- The fixed workload: a little of everything, in an order in which each act has its effect. */

static void write_all(struct world *w)
{
    world_take_group(w);
    world_write_group(w);
    world_finish_group(w);
}

void workload_fixed(struct world *w)
{
    static const uint32_t sizes[] = {1, 700, 3000, 30000, 3500, 100000, 4000, 60000};
    /* So small that all kinds of background work come up. */
    w->options.block_bytes = 4096;
    w->options.inline_bytes = 4096;
    w->options.segment_bytes = w->options.bulk_segment_bytes = 128 * 1024;
    w->options.extent_bytes = 16384;
    w->options.checkpoint_segments = w->options.keep_segments = w->options.free_segments = 1;
    w->options.compact_percent = 90;
    world_start(w, 0);
    for (unsigned round = 0; round < 40 && !store_sim_stopped(w->sim); round++) {
        world_accept(w, sizes[round % ARRAY_SIZE(sizes)]);
        for (int i = 0; i < 30; i++)
            world_upload(w);
        for (int i = 0; i < 12; i++)
            world_task(w);
        write_all(w);
        world_event(w);
        for (int i = 0; i < 3; i++)
            world_status(w, round > 8);
        write_all(w);
        if (round % 3 == 2 && !store_sim_stopped(w->sim))
            fold_all(w);
        w->now_us += 1000000;
    }
    if (!store_sim_stopped(w->sim))
        world_settle(w);
}
