/* The life of the simulated machine: start, crash, recovery. What happens in between: acts.c. */
#include "world.h"

#include "spool/lane.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void world_say(struct world *w, const char *format, ...)
{
    va_list args;
    if (!w->verbose)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void lie_in_wait(struct world *w, const struct store_sim_operation *op)
{
    bool group = strcmp(op->name, "write") == 0 && op->kind == STORE_LOG;
    unsigned chance = !group ? 0 : op->offset == 0 ? 10000 : 2000;
    store_sim_set_faults(w->sim, &(struct store_sim_faults){.sync_error = chance});
}

static void observe(void *arg, const struct store_sim_operation *op)
{
    struct world *w = arg;
    w->statistics.operations++;
    w->statistics.checkpoints += op->file && strcmp(op->file, "checkpoint") == 0;
    w->statistics.bulk_writes += op->kind == STORE_BULK && strcmp(op->name, "write") == 0;
    if (w->ambush)
        lie_in_wait(w, op);
    if (op->result < 0 && !store_sim_stopped(w->sim)) {
        w->statistics.faults++;
        w->shaken = 30;
    }
    if (w->is_cramped && op->file && op->result == -ENOSPC && prng_below(&w->other, 2))
        store_sim_stop_after(w->sim, 1 + prng_below(&w->other, 4));
    if (op->file)
        world_say(w, "        %s %s %lu bytes: %s", op->name, op->file, (unsigned long)op->size,
                  strerror(-op->result));
    else
        world_say(w, "        %s %s %lu at %lu, %lu bytes: %s", op->name,
                  op->kind == STORE_LOG ? "log" : "bulk", (unsigned long)op->number,
                  (unsigned long)op->offset, (unsigned long)op->size, strerror(-op->result));
}

static int draw_random(void *arg, void *out, size_t size)
{
    struct world *w = arg;
    prng_fill(&(struct prng){w->random++}, out, size);
    return 0;
}

/* Small everything, so that few steps fill segments, and different for each seed. */
static struct spool_options draw_options(struct world *w)
{
    struct spool_options options = spool_options_default;
    static const uint32_t blocks[] = {512, 4096}, kib[] = {64, 128, 256};
    options.block_bytes = blocks[prng_below(&w->prng, ARRAY_SIZE(blocks))];
    options.inline_bytes = 4096u << prng_below(&w->prng, 4);
    options.segment_bytes = kib[prng_below(&w->prng, ARRAY_SIZE(kib))] * 1024 * 2;
    options.bulk_segment_bytes = kib[prng_below(&w->prng, ARRAY_SIZE(kib))] * 1024 * 2;
    options.extent_bytes = 4096u << prng_below(&w->prng, 4);
    options.group_bytes = 16384u << prng_below(&w->prng, 3);
    options.pending_bytes = 8 * options.group_bytes;
    options.upload_bytes = 4 * options.extent_bytes + 65536;
    options.ahead_bytes = options.recent_bytes = 2 * options.extent_bytes;
    options.spare_segments = 1 + (uint32_t)prng_below(&w->prng, 2);
    options.reserve_bytes = 0;
    options.reserve_inodes = 0;
    options.checkpoint_segments = 1 + (uint32_t)prng_below(&w->prng, 4);
    options.compact_percent = (uint32_t)prng_below(&w->prng, 80);
    options.keep_segments = 1 + (uint32_t)prng_below(&w->prng, 4);
    options.free_segments = (uint32_t)prng_below(&w->prng, 3);
    options.book_alarm_segments = 1000;
    options.book_limit_segments = 2000;
    options.retry_us = 1000000;
    options.scrub_interval_us = prng_below(&w->prng, 2) ? 60 * 1000000 : 0;
    options.random = draw_random;
    options.random_arg = w;
    return options;
}

/* Every fourth life is short of space (rule 7). */
static void draw_capacity(struct world *w, uint64_t seed)
{
    struct prng prng = {~seed};
    if (prng_below(&prng, 4) != 0)
        return;
    uint64_t bytes = 5 * w->options.segment_bytes + prng_below(&prng, 1 << 20);
    store_sim_set_capacity(w->sim, bytes);
    w->options.reserve_bytes = 2 * w->options.segment_bytes;
    w->tight = true;
}

void world_make_room(struct world *w)
{
    store_sim_set_capacity(w->sim, 0);
    w->tight = false;
}

/* What a wrong spool would do, where it can be done from outside. Those inside it are variants of
 * the library (meson.build). */
static const struct {
    const char *name;
    unsigned store;
    bool book;
} mutants[] = {{"no-sync", STORE_SIM_NO_LOG_SYNC, false},
               {"seal-before-bulk", STORE_SIM_NO_BULK_SYNC, false},
               {"no-directory-sync", STORE_SIM_NO_DIRECTORY_SYNC, false},
               {"sync-retried", STORE_SIM_RETRY_SYNC, false},
               {"book-not-synced", 0, true}};

static bool set_mutant(struct world *w, const char *name)
{
    if (!name)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(mutants); i++)
        if (strcmp(mutants[i].name, name) == 0) {
            store_sim_set_mutants(w->sim, mutants[i].store);
            w->book_mutant = mutants[i].book;
            return true;
        }
    return false;
}

bool world_init(struct world *w, uint64_t seed, const char *mutant, bool verbose)
{
    *w = (struct world){.prng = {seed}, .now_us = INT64_C(1795284003000000), .verbose = verbose};
    w->random = prng_next(&w->prng);
    w->other.state = ~w->random;
    w->options = draw_options(w);
    w->sim = store_sim_new(prng_next(&w->prng));
    store_sim_observe(w->sim, observe, w);
    draw_capacity(w, seed);
    return set_mutant(w, mutant);
}

/* The spool ends without a chance to write: whatever is in flight fails first. */
static void abandon_spool(struct world *w)
{
    if (!w->spool)
        return;
    if (w->group)
        world_write_group(w);
    if (w->group)
        world_finish_group(w);
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        struct world_task *t = &w->tasks[i];
        if (t->task && !t->ran)
            spool_run_task(t->task);
        if (t->task)
            spool_finish_task(w->spool, t->task, w->now_us);
        *t = (struct world_task){0};
    }
    world_abandon_uploads(w);
    if (w->restless && !store_sim_stopped(w->sim)) {
        w->ended_at = w->spool->sequence;
        spool_end(w->spool);
    }
    struct spool_counts counts;
    spool_get_counts(w->spool, &counts);
    w->statistics.compacted += counts.compacted;
    w->statistics.recycled += counts.recycled;
    spool_close(w->spool);
    w->spool = NULL;
    if (w->credits)
        model_fail(&w->model, "%u credits are never answered", w->credits);
}

void world_done(struct world *w)
{
    if (!store_sim_stopped(w->sim))
        store_sim_stop(w->sim);
    abandon_spool(w);
    spool_follower_free(w->book.follower);
    store_sim_free(w->sim);
    model_done(&w->model);
}

void world_set_faults(struct world *w, bool on)
{
    static const unsigned rates[] = {0, 0, 100, 1000, 3000};
    struct store_sim_faults f = {0};
    unsigned *fields[] = {&f.write_error,     &f.write_full, &f.sync_error, &f.create_error,
                          &f.directory_error, &f.file_error, &f.name_error};

    if (on && prng_below(&w->prng, 2)) /* one kind alone meets states that a mixture never leaves */
        *fields[prng_below(&w->prng, ARRAY_SIZE(fields))] = 3000;
    else
        for (size_t i = 0; on && i < ARRAY_SIZE(fields); i++)
            *fields[i] = rates[prng_below(&w->prng, ARRAY_SIZE(rates))];
    w->ambush = on && (w->only_ambush || prng_below(&w->prng, 4) == 0);
    if (w->ambush)
        f = (struct store_sim_faults){0};
    if (on && w->names_stick)
        f.name_error = 5000;
    f.checkpoint_full = w->is_cramped ? 2000 : 0;
    f.evict = on ? (unsigned)prng_below(&w->prng, 2) * 1000 : 0;
    store_sim_set_faults(w->sim, &f);
    w->faulty = on;
    for (size_t i = 0; i < WORLD_UPLOADS; i++)
        w->uploads[i].saw_faults |= on;
    world_say(w, "faults %s", on ? "on" : "off");
}

static void on_added(void *arg, struct spool_message *shown)
{
    struct world *w = arg;
    struct model_message *message = model_find(&w->model, &shown->id);
    if (!message || message->listed)
        model_fail(&w->model, "a message was listed that wasn't given, or twice");
    else
        message->listed = true;
}

static void on_gone(void *arg, struct spool_message *shown)
{
    struct world *w = arg;
    struct model_message *message = model_find(&w->model, &shown->id);
    if (!message || message->gone) {
        model_fail(&w->model, "a message went that wasn't there");
        return;
    }
    if (!message->harmed && model_must_exist(&w->model, message))
        model_fail(&w->model, "a message went although a recipient is waiting");
    message->gone = true;
}

/* Every third life has a disk that can't always be read. Recovery doesn't give up for less than
 * TRIES of segment_read(); the others have to live with more. */
static void stumble(struct world *w, bool recovering)
{
    if (w->stumbling)
        store_sim_set_stumbling(w->sim, 300, recovering ? 2 : 8);
}

/* One attempt to open. True: it is open. */
static bool try_start(struct world *w, unsigned cut_chance, unsigned attempt)
{
    uint64_t cut_at = w->cut_recovery_at;
    if (!cut_at && attempt < 4 && prng_chance(&w->prng, cut_chance))
        cut_at = 1 + prng_below(&w->prng, 12);
    if (cut_at)
        store_sim_stop_after(w->sim, cut_at);
    w->cut_recovery_at = 0;
    if (attempt > 2 && w->faulty)
        world_set_faults(w, false);
    world_resize(w);
    world_litter(w);
    stumble(w, true);
    int r = spool_open(store_sim_open(w->sim), &w->options, w->now_us, &w->spool, NULL);
    if (r < 0)
        w->spool = NULL;
    stumble(w, false);
    world_say(w, "open: %s", strerror(-r));
    w->statistics.recoveries++;
    if (r == -ENOSPC && attempt > 2)
        world_make_room(w);
    if (r < 0 && !w->faulty && r != -ENOSPC && !store_sim_stopped(w->sim))
        model_fail(&w->model, "the spool can't start: %s", strerror(-r));
    if (r == 0 && store_sim_stopped(w->sim))
        model_fail(&w->model, "the spool started on a dead disk");
    if (cut_at)
        store_sim_stop_after(w->sim, 0);
    w->statistics.cut_recoveries += store_sim_stopped(w->sim);
    return r == 0;
}

/* By a chance of its own: all other lives stay as they are. */
static void lose_checkpoint(struct world *w)
{
    struct prng prng = {w->statistics.recoveries};
    if (w->hoards && prng_below(&prng, 2) &&
        store_sim_flip_file(w->sim, "checkpoint", prng_below(&prng, 64)) == 0)
        world_say(w, "the checkpoint is damaged");
}

static void restart_disk(struct world *w)
{
    bool killed = prng_below(&w->prng, 2);
    lose_checkpoint(w);
    world_say(w, "restart after %s", killed ? "a kill" : "a power cut");
    store_sim_restart(w->sim, killed ? STORE_SIM_KILLED : STORE_SIM_POWER_CUT);
    if (!killed)
        world_book_crashes(w);
}

void world_start(struct world *w, unsigned cut_chance)
{
    if (w->is_cramped && !w->faulty)
        world_set_faults(w, false);
    for (unsigned attempt = 0;; attempt++) {
        if (store_sim_stopped(w->sim))
            restart_disk(w);
        if (try_start(w, cut_chance, attempt))
            break;
        if (model_failed(&w->model))
            return;
        w->now_us += 5000000;
    }
    spool_set_hooks(w->spool, &(struct spool_hooks){w, on_added, NULL, on_gone});
    spool_book_synced(w->spool, w->book.synced_at);
    w->model.recovered_below = w->model.record_count;
    if (spool_ended_well(w->spool) && w->ended_at != w->spool->sequence)
        model_fail(&w->model, "a crash passes for an end");
    world_check_all(w);
}

void world_stop(struct world *w)
{
    abandon_spool(w);
    model_crash(&w->model);
    spool_follower_free(w->book.follower);
    w->book.follower = NULL;
    world_say(w, "stopped");
}

void world_crash(struct world *w)
{
    store_sim_stop(w->sim);
    world_stop(w);
    w->statistics.crashes++;
}
