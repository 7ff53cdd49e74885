/*
 * damage: one bit goes bad at rest, anywhere in the lane. Rule 8 of src/spool/README.md: the server
 * starts, at most one message is touched by it, and only by what may (damage_place.h), and what is
 * touched is named. With --truncate a file loses its end instead: then who had a byte or a word
 * there may be touched (damage_cut.h). So it is at the start, when all background work is done, and
 * at the start after that. With --unread a block can't be read, but only for the first start: then
 * who has a byte in it may be touched (damage_cut.h).
 *
 *     damage [--seed N] [--seeds N] [--steps N] [--truncate | --unread] [-v]
 */
#include "damage_cut.h"
#include "damage_place.h"
#include "workload.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct settings {
    uint64_t seed, seeds, steps;
    bool truncate, unread, verbose;
};

/* What came of the damage, by place. */
static struct {
    const char *place;
    uint64_t silent, named;
} results[24];

static void note(const char *place, bool touched)
{
    size_t i = 0;
    while (results[i].place && strcmp(results[i].place, place) != 0)
        i++;
    results[i].place = place;
    *(touched ? &results[i].named : &results[i].silent) += 1;
}

/* The message as the spool shows it, read to its end; what comes of it is seen in its flags. */
static bool reads_well(struct world *w, struct spool_message *shown)
{
    struct spool_reader *reader;
    const struct spool_stored *stored;
    char piece[4096];
    uint64_t at = 0;
    ssize_t got = 1;

    if (spool_reader_open(w->spool, shown, &reader) < 0)
        return false;
    if (spool_reader_load(reader, &stored) < 0)
        got = -1;
    while (got > 0) {
        got = spool_reader_read(reader, at, piece, sizeof piece);
        at += got > 0 ? (uint64_t)got : 0;
    }
    spool_reader_close(w->spool, reader);
    return got == 0;
}

static bool is_as_it_was(struct world *w, struct model_message *message)
{
    struct spool_message *shown = spool_find(w->spool, &message->id);
    if (!shown)
        return !model_must_exist(&w->model, message);
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (!model_adopt_recipient(&w->model, message, i, spool_find_recipient(shown, i)))
            return false;
    return reads_well(w, shown) && !(shown->flags & SPOOL_MESSAGE_DAMAGED);
}

/* Messages that had gone and are there again. */
static unsigned count_ghosts(struct world *w, bool harmed)
{
    struct spool_listing *listing;
    struct spool_message *shown;
    unsigned ghosts = 0;

    if (spool_listing_new(w->spool, &listing) < 0)
        return 0;
    while ((shown = spool_listing_next(listing)) != NULL) {
        struct model_message *message = model_find(&w->model, &shown->id);
        ghosts += !message || (message->gone && message->harmed == harmed);
    }
    spool_listing_free(listing);
    return ghosts;
}

static unsigned count_lost(struct world *w)
{
    unsigned lost = 0;
    for (size_t i = 0; i < w->model.live_count; i++) {
        struct model_message *message = &w->model.messages[w->model.live[i]];
        lost += model_must_exist(&w->model, message) && !spool_find(w->spool, &message->id);
    }
    return lost;
}

static unsigned count_touched(struct world *w, bool harmed)
{
    unsigned touched = count_ghosts(w, harmed);
    for (size_t i = 0; i < w->model.live_count; i++) {
        struct model_message *message = &w->model.messages[w->model.live[i]];
        touched += message->harmed == harmed && !is_as_it_was(w, message);
    }
    return touched;
}

/* What came of it so far. */
struct outcome {
    bool is_named, has_touched;
};

static void judge(struct world *w, const struct store_sim_damage *damage,
                  const struct damage_place *place, bool by_harm, const char *when,
                  struct outcome *outcome)
{
    unsigned lost = count_lost(w), harmed = count_touched(w, true);
    unsigned touched = count_touched(w, false);

    struct spool_position tail;
    outcome->is_named |= spool_damage_count(w->spool) > 0 || spool_has_tail(w->spool, &tail);
    outcome->has_touched |= touched + harmed > 0;
    if (by_harm ? touched > 0 : touched > place->may_touch || lost > place->may_lose)
        model_fail(&w->model, "%s: damage to %s %lu at %lu (%s) touched %u messages, %u are lost",
                   when, damage->what, (unsigned long)damage->number, (unsigned long)damage->offset,
                   place->name, touched, lost);
    if (outcome->has_touched && !outcome->is_named)
        model_fail(&w->model, "%s: damage to %s %lu at %lu (%s) touched what nothing names", when,
                   damage->what, (unsigned long)damage->number, (unsigned long)damage->offset,
                   place->name);
}

static bool do_damage(const struct settings *settings, struct world *w,
                      struct store_sim_damage *out_damage, struct damage_place *out_place)
{
    if (settings->truncate ? !damage_cut(w, out_damage)
        : settings->unread ? !damage_unread(w, out_damage)
                           : !store_sim_damage(w->sim, out_damage))
        return false;
    if (settings->unread) {
        *out_place = (struct damage_place){.name = out_damage->what[0] == 'l' ? "log, unread"
                                                                              : "bulk, unread"};
        return true;
    }
    *out_place = damage_place_of(w, out_damage);
    if (settings->truncate)
        out_place->name = out_damage->what[0] == 'l'   ? "log, cut off"
                          : out_damage->what[0] == 'b' ? "bulk, cut off"
                                                       : "a checkpoint, cut off";
    world_say(w, "damage to %s %lu at %lu: %s", out_damage->what, (unsigned long)out_damage->number,
              (unsigned long)out_damage->offset, out_place->name);
    return true;
}

/* The end of the log can't be told from a torn write: so it holds nothing that is missed. */
static void write_a_tail(struct world *w)
{
    for (int i = 0; i < 3; i++) {
        world_event(w);
        world_settle(w);
    }
}

static void start_again(struct world *w)
{
    world_crash(w);
    store_sim_restart(w->sim, STORE_SIM_POWER_CUT);
    int r = spool_open(store_sim_open(w->sim), &w->options, w->now_us, &w->spool, NULL);
    if (r < 0) {
        w->spool = NULL;
        model_fail(&w->model, "the spool can't start: %s", strerror(-r));
    }
}

/* It serves on, and puts in order what it can: with a book that has read all, it also lets go. */
static void serve_on(struct world *w)
{
    world_event(w);
    world_settle(w);
    spool_book_synced(w->spool, spool_sealed_position(w->spool));
    w->now_us += 3600 * INT64_C(1000000);
    world_settle(w);
}

static void damage_and_judge(const struct settings *settings, struct world *w)
{
    static const char *const when[] = {"at the start", "after the work", "at the next start"};
    struct store_sim_damage damage;
    struct damage_place place;
    struct outcome outcome = {0};

    if (!do_damage(settings, w, &damage, &place))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(when) && !model_failed(&w->model); i++) {
        if (i != 1)
            start_again(w);
        else
            serve_on(w);
        store_sim_set_unreadable(w->sim, &damage, 0);
        if (!model_failed(&w->model))
            judge(w, &damage, &place, settings->truncate || settings->unread, when[i], &outcome);
    }
    note(place.name, outcome.has_touched);
}

static bool run_seed(const struct settings *settings, uint64_t seed)
{
    struct world w;

    world_init(&w, seed, NULL, settings->verbose);
    world_make_room(&w); /* a full disk brings crashes, and the tail must be written */
    workload_peaceful(&w, settings->steps);
    world_settle(&w);
    if (!settings->truncate && !settings->unread)
        write_a_tail(&w);
    if (!model_failed(&w.model))
        damage_and_judge(settings, &w);
    bool failed = model_failed(&w.model);
    if (failed)
        printf("\nseed %lu: %s\nreplay: damage --seed %lu --steps %lu%s -v\n", (unsigned long)seed,
               w.model.failure, (unsigned long)seed, (unsigned long)settings->steps,
               settings->truncate ? " --truncate"
               : settings->unread ? " --unread"
                                  : "");
    world_done(&w);
    return !failed;
}

static bool parse(int argc, char **argv, struct settings *out)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},  {"seeds", required_argument, NULL, 'n'},
        {"steps", required_argument, NULL, 'p'}, {"truncate", no_argument, NULL, 't'},
        {"unread", no_argument, NULL, 'u'},      {NULL, 0, NULL, 0}};
    int option, r = 0;
    while (r == 0 && (option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        uint64_t *number = option == 's'   ? &out->seed
                           : option == 'n' ? &out->seeds
                           : option == 'p' ? &out->steps
                                           : NULL;
        if (number)
            r = span_to_u64(span_from_cstr(optarg), UINT64_MAX, number);
        else if (option == 't')
            out->truncate = true;
        else if (option == 'u')
            out->unread = true;
        else if (option == 'v')
            out->verbose = true;
        else
            return false;
    }
    return r == 0 && optind == argc;
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = 1, .seeds = 1, .steps = 300};
    if (!parse(argc, argv, &settings)) {
        fprintf(stderr,
                "usage: damage [--seed N] [--seeds N] [--steps N] [--truncate | --unread] [-v]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint64_t i = 0; i < settings.seeds; i++)
        if (!run_seed(&settings, settings.seed + i))
            return 1;
    for (size_t i = 0; results[i].place; i++)
        printf("%-24s %6lu without a trace, %6lu that touched a message and were named\n",
               results[i].place, (unsigned long)results[i].silent, (unsigned long)results[i].named);
    return 0;
}
