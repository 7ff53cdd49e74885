/* Somebody changes the options between two starts of the spool (docs/manual). */
#include "world.h"

static uint32_t draw(struct prng *prng, uint32_t least_kib, unsigned powers)
{
    return (least_kib * 1024) << prng_below(prng, powers);
}

/* Bulk segments become either some times as large as a common message, or some times smaller. By
 * a chance of its own: all other lives stay as they are. */
void world_resize(struct world *w)
{
    struct prng prng = {w->statistics.recoveries ^ w->random};
    struct spool_options *o = &w->options;

    if (!w->resizes || (w->bulk_kib == 0 && prng_below(&prng, 2)))
        return;
    o->segment_bytes = draw(&prng, 128, 3);
    o->bulk_segment_bytes = prng_below(&prng, 2) ? draw(&prng, 1024, 2) : draw(&prng, 32, 3);
    if (w->bulk_kib)
        o->bulk_segment_bytes = w->bulk_kib * 1024;
    o->extent_bytes = draw(&prng, 4, 2); /* of which segments of 32 KiB hold some */
    o->upload_bytes = 4 * o->extent_bytes + 65536;
    o->ahead_bytes = o->recent_bytes = 2 * o->extent_bytes;
    o->spare_segments = 1 + (uint32_t)prng_below(&prng, 2);
    o->keep_segments = 1 + (uint32_t)prng_below(&prng, 4);
    o->free_segments = (uint32_t)prng_below(&prng, 3);
    o->compact_percent = 20 + (uint32_t)prng_below(&prng, 31);
    world_say(w, "segments of %lu and %lu bytes from now on", (unsigned long)o->segment_bytes,
              (unsigned long)o->bulk_segment_bytes);
}

static void start_with(struct world *w, uint32_t bulk_kib)
{
    w->bulk_kib = bulk_kib;
    world_stop(w);
    world_start(w, 0);
}

static void write_groups(struct world *w)
{
    for (int i = 0; i < 20; i++) {
        world_take_group(w);
        world_write_group(w);
        world_finish_group(w);
    }
}

/* Little is left of large segments, but that is more than some of the new ones hold. */
void world_outgrow(struct world *w)
{
    enum { MESSAGES = 16, PIECES = 100 };

    start_with(w, 2048);
    for (int i = 0; i < MESSAGES && !model_failed(&w->model); i++) {
        world_accept(w, 200000 + (uint32_t)prng_below(&w->prng, 400000));
        for (int pieces = 0; pieces < PIECES; pieces++) {
            world_upload(w);
            if (pieces % 4 == 3)
                world_settle(w);
        }
    }
    for (int i = 0; i < 2 * MESSAGES; i++)
        world_status(w, true);
    write_groups(w);
    for (uint32_t kib = 64; kib >= 32 && !model_failed(&w->model); kib /= 2) {
        start_with(w, kib);
        if (!model_failed(&w->model))
            world_settle(w);
    }
}
