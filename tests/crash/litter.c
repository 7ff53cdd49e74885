/*
 * Somebody else puts things into the spool's folder, under names that segments have or could get:
 * files without a byte, of zeros, of anything, copies of others, folders, another spool's segments.
 * Nothing may come of that but a word about a file that was put aside.
 */
#include "world.h"

#include "spool/segment.h"
#include <stdlib.h>

/* Also where the next segments come, and where none ever does. */
static uint64_t draw_number(struct world *w, struct prng *prng, enum store_kind kind)
{
    uint64_t highest = store_sim_highest(w->sim, kind);

    switch (prng_below(prng, 8)) {
    case 0:
        return 0;
    case 1:
        return (prng_below(prng, 2) ? UINT64_MAX : SEGMENT_NUMBER_MAX) - prng_below(prng, 2);
    case 2:
        return highest + prng_below(prng, 1 << 20);
    case 3:
    case 4:
        return 1 + prng_below(prng, highest + 1);
    default:
        return highest + 1 + prng_below(prng, 3);
    }
}

static size_t draw_size(const struct world *w, struct prng *prng, enum store_kind kind)
{
    uint64_t whole = kind == STORE_LOG ? w->options.segment_bytes : w->options.bulk_segment_bytes;
    const uint64_t sizes[] = {1, 3 * w->options.block_bytes, prng_below(prng, 20000), whole};

    return sizes[prng_below(prng, ARRAY_SIZE(sizes))];
}

/* Without a mark of our lane the oldest of as many segments are ours: then only behind these. */
static uint64_t draw_foreign(struct world *w, struct prng *prng)
{
    uint64_t highest = store_sim_highest(w->sim, STORE_LOG);
    uint64_t number = draw_number(w, prng, STORE_LOG);

    return number > highest || store_sim_has_file(w->sim, "lane") ? number : highest + 1;
}

/* The only segment of another spool, now and then under another number than its own. Not before
 * anything of ours is there: a folder with another's segments and none of its own is one that was
 * filled from a backup. */
static void put_foreign(struct world *w, struct prng *prng)
{
    uint64_t number = draw_foreign(w, prng);
    uint64_t own = prng_below(prng, 4) ? number : 1 + prng_below(prng, 2 * number);
    size_t size = w->options.segment_bytes;
    uint8_t *bytes = w->model.recovered_below ? calloc(1, size) : NULL;
    struct segment_header header = {.block_bytes = w->options.block_bytes,
                                    .number = own,
                                    .size_bytes = size,
                                    .created_us = w->now_us};

    if (!bytes)
        return;
    prng_fill(prng, header.lane, sizeof(header.lane));
    prng_fill(prng, header.salt, sizeof(header.salt));
    segment_encode_header(&header, (char *)bytes);
    segment_encode_header(&header, (char *)bytes + header.block_bytes);
    if (store_sim_put(w->sim, STORE_LOG, number, bytes, size))
        world_say(w, "litter of another spool: log %lu as %lu", (unsigned long)own,
                  (unsigned long)number);
    free(bytes);
}

/* By a chance of its own, so that other lives stay as they are. */
void world_litter(struct world *w)
{
    struct prng prng = {w->statistics.operations ^ w->random};

    for (uint64_t i = w->is_littered ? prng_below(&prng, 4) : 0; i; i--) {
        if (prng_below(&prng, 4) == 0) {
            put_foreign(w, &prng);
            continue;
        }
        enum store_kind kind = prng_below(&prng, 2) ? STORE_LOG : STORE_BULK;
        enum store_sim_litter what = (enum store_sim_litter)prng_below(&prng, STORE_SIM_LITTERS);
        uint64_t number = draw_number(w, &prng, kind);
        uint64_t of = 1 + prng_below(&prng, store_sim_highest(w->sim, kind));
        if (!store_sim_litter(w->sim, what, kind, number, draw_size(w, &prng, kind), of))
            continue;
        w->has_copies |= what == STORE_SIM_COPY && kind == STORE_LOG;
        world_say(w, "litter %u: %s %lu", (unsigned)what, kind == STORE_LOG ? "log" : "bulk",
                  (unsigned long)number);
    }
}
