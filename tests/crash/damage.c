/*
 * damage: one bit goes bad at rest, anywhere in the lane. Rule 8 of src/spool/README.md: the server
 * starts, at most one message is touched by it, and only by what may (damage_place.h), and what is
 * touched is named. With --truncate a file loses its end instead: then more may be touched.
 *
 *     damage [--seed N] [--seeds N] [--steps N] [--truncate] [-v]
 */
#include "damage_place.h"
#include "workload.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct settings {
    uint64_t seed, seeds, steps;
    bool truncate, verbose;
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
static unsigned count_ghosts(struct world *w)
{
    struct spool_listing *listing;
    struct spool_message *shown;
    unsigned ghosts = 0;

    if (spool_listing_new(w->spool, &listing) < 0)
        return 0;
    while ((shown = spool_listing_next(listing)) != NULL) {
        struct model_message *message = model_find(&w->model, &shown->id);
        ghosts += !message || message->gone;
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

static void judge(struct world *w, const struct store_sim_damage *damage,
                  const struct damage_place *place, bool truncated)
{
    unsigned lost = count_lost(w), touched = count_ghosts(w);
    for (size_t i = 0; i < w->model.live_count; i++)
        touched += !is_as_it_was(w, &w->model.messages[w->model.live[i]]);
    bool too_much = touched > place->may_touch || lost > place->may_lose;
    if (!truncated && too_much)
        model_fail(&w->model, "one bit in %s %lu at %lu (%s) touched %u messages, %u of them lost",
                   damage->what, (unsigned long)damage->number, (unsigned long)damage->offset,
                   place->name, touched, lost);
    if (touched > 0 && spool_damage_count(w->spool) == 0)
        model_fail(&w->model, "damage to %s %lu at %lu (%s) touched what nothing names",
                   damage->what, (unsigned long)damage->number, (unsigned long)damage->offset,
                   place->name);
    note(place->name, touched > 0);
}

static bool do_damage(const struct settings *settings, struct world *w,
                      struct store_sim_damage *out_damage, struct damage_place *out_place)
{
    if (!settings->truncate && !store_sim_damage(w->sim, out_damage))
        return false;
    if (settings->truncate && !store_sim_truncate(w->sim, out_damage))
        return false;
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

static bool run_seed(const struct settings *settings, uint64_t seed)
{
    struct store_sim_damage damage;
    struct damage_place place;
    struct world w;

    world_init(&w, seed, NULL, settings->verbose);
    world_make_room(&w); /* a full disk brings crashes, and the tail must be written */
    workload_peaceful(&w, settings->steps);
    world_settle(&w);
    write_a_tail(&w);
    if (!model_failed(&w.model) && do_damage(settings, &w, &damage, &place)) {
        world_crash(&w);
        store_sim_restart(w.sim, STORE_SIM_POWER_CUT);
        int r = spool_open(store_sim_open(w.sim), &w.options, w.now_us, &w.spool);
        if (r < 0) {
            w.spool = NULL;
            model_fail(&w.model, "the spool can't start: %s", strerror(-r));
        } else {
            judge(&w, &damage, &place, settings->truncate);
            world_event(&w); /* and it serves on */
            world_settle(&w);
        }
    }
    bool failed = model_failed(&w.model);
    if (failed)
        printf("\nseed %lu: %s\nreplay: damage --seed %lu --steps %lu -v\n", (unsigned long)seed,
               w.model.failure, (unsigned long)seed, (unsigned long)settings->steps);
    world_done(&w);
    return !failed;
}

static bool parse(int argc, char **argv, struct settings *out)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"steps", required_argument, NULL, 'p'},
                                            {"truncate", no_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
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
        fprintf(stderr, "usage: damage [--seed N] [--seeds N] [--steps N] [--truncate] [-v]\n");
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
