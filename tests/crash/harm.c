/*
 * Lives in which segments stay that hold next to nothing: a message in them is damaged, so it is
 * held and can't be moved. All else moves on from there, is finished elsewhere, and must stay
 * finished as long as its first record lies in what stays. Only recovery without a checkpoint reads
 * it there, so these lives lose theirs, too.
 */
#include "world.h"

#include "spool/lane.h"

/* Not in the newest segment: there damage can't be told from a torn write. */
static bool may_be_harmed(const struct world *w, const struct model_message *message,
                          const struct spool_message *shown)
{
    return shown && !message->harmed && !shown->has_bulk && shown->size_bytes && !shown->pins &&
           model_fate_of(&w->model, message) == MODEL_SEALED && index_home(shown) &&
           index_home(shown)->number < w->spool->sealed.segment;
}

/* By a chance of its own, so that other lives stay as they are. */
void world_harm(struct world *w)
{
    struct prng prng = {w->statistics.steps};
    enum { TRIES = 10 };

    for (int i = 0; i < TRIES && w->model.live_count; i++) {
        size_t live = prng_below(&prng, w->model.live_count);
        struct model_message *message = &w->model.messages[w->model.live[live]];
        struct spool_message *shown = spool_find(w->spool, &message->id);
        if (!may_be_harmed(w, message, shown))
            continue;
        uint64_t at = shown->offset + RECORD_HEADER_BYTES + shown->meta_bytes;
        at += prng_below(&prng, shown->size_bytes);
        if (store_sim_flip(w->sim, STORE_LOG, index_home(shown)->number, 8 * at) == 0)
            message->harmed = true;
        world_say(w, "record %lu is damaged", (unsigned long)message->sequence);
        return;
    }
}

static void remove_one(struct world *w, struct model_message *message)
{
    struct spool_message *shown = spool_find(w->spool, &message->id);

    for (uint32_t i = 0; shown && i < message->recipient_count; i++) {
        const struct spool_recipient *row = spool_find_recipient(shown, i);
        struct spool_status status = {
            .recipient = i, .outcome = SPOOL_OUTCOME_REMOVED, .detail = SPAN("removed")};
        if (row && row->state != SPOOL_RECIPIENT_CLOSED && !row->is_closing &&
            spool_status(w->spool, shown, &status, 1, NULL, NULL) < 0)
            model_fail(&w->model, "what was damaged can't be removed");
    }
    message->gone |= !shown;
}

void world_remove_harmed(struct world *w)
{
    for (size_t i = 0; i < w->model.live_count; i++) {
        struct model_message *message = &w->model.messages[w->model.live[i]];
        if (message->harmed)
            remove_one(w, message);
    }
    world_settle(w);
}
