/*
 * While one thread is in the middle of its work the others go on, and so does the owner's loop: in
 * lives that jostle each operation on the disk is a place where that may happen. What goes on there
 * is through before the first one does another step, so it is all still one thread and one seed.
 */
#include "world.h"

enum { DEPTH_MAX = 3, TURN_CHANCE = 2500 };

static void act(struct world *w)
{
    uint64_t drawn = prng_below(&w->other, 12);

    if (drawn < 4)
        world_task(w);
    else if (drawn < 8)
        world_upload(w);
    else if (drawn < 10)
        world_group(w);
    else if (drawn < 11 && w->model.live_count < 60)
        world_accept(w, (uint32_t)prng_below(&w->other, 60000));
    else
        world_status(w, false);
}

static void take_turn(void *arg)
{
    struct world *w = arg;

    while (w->is_jostled && w->depth && w->depth <= DEPTH_MAX && !store_sim_stopped(w->sim) &&
           prng_chance(&w->other, TURN_CHANCE)) {
        world_say(w, "      meanwhile");
        act(w);
    }
}

void world_begin_thread(struct world *w)
{
    w->depth++;
    store_sim_begin_thread(w->sim);
    store_sim_set_turn(w->sim, w->jostles ? take_turn : NULL, w);
}

void world_end_thread(struct world *w)
{
    store_sim_end_thread(w->sim);
    w->depth--;
}

void world_jostle(struct world *w, void (*step)(struct world *world))
{
    w->is_jostled = w->jostles;
    step(w);
    w->is_jostled = false;
}

void world_check_threads(struct world *w)
{
    const char *breach = store_sim_breach(w->sim);

    if (breach)
        model_fail(&w->model, "%s", breach);
}
