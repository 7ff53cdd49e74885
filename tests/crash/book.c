/* The book of the simulation: folds the log and holds each record against the model. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>

static void close_book(struct world *w)
{
    spool_follower_free(w->book.follower);
    w->book.follower = NULL;
}

void world_book_crashes(struct world *w)
{
    close_book(w);
    w->book.at = w->book.synced_at;
    w->book.last = w->book.synced_last;
}

static int open_book(struct world *w)
{
    if (w->book.follower)
        return 0;
    struct store *store = store_sim_open(w->sim);
    return spool_follower_new(store, w->book.at, &w->book.follower);
}

static bool is_folded(const struct world *w, const struct model_record *record)
{
    return record->folded_at.segment != 0 &&
           spool_position_compare(record->folded_at, w->book.at) < 0;
}

/* What is sealed comes once and in the order of the completions. What was read before the book
 * crashed is read again at the same place. */
static void check_order(struct world *w, uint64_t sequence, struct spool_position at)
{
    struct model_record *record = &w->model.records[sequence];
    unsigned long number = (unsigned long)sequence;

    if (record->fate == MODEL_DEAD || record->fate == MODEL_PENDING ||
        (record->fate == MODEL_MAYBE && sequence >= w->model.recovered_below))
        model_fail(&w->model, "the book saw record %lu, which isn't there", number);
    if (record->folded_at.segment != 0 && spool_position_compare(record->folded_at, at) != 0)
        model_fail(&w->model, "the book saw record %lu twice", number);
    record->folded_at = at;
    if (record->order != 0 && record->order != w->book.last + 1)
        model_fail(&w->model, "the book saw record %lu as number %lu, after number %lu", number,
                   (unsigned long)record->order, (unsigned long)w->book.last);
    if (record->order != 0)
        w->book.last = record->order;
}

static void fold_one(struct world *w, uint64_t sequence, enum model_kind kind,
                     struct spool_position at)
{
    const struct model *model = &w->model;
    if (sequence == 0 || sequence >= model->record_count || model->records[sequence].kind != kind)
        model_fail(&w->model, "the book saw a record that was never given");
    else
        check_order(w, sequence, at);
    w->statistics.folded++;
}

static void fold_message(struct world *w, const struct spool_followed *record)
{
    struct model_message *message = model_find(&w->model, &record->message);
    if (!message) {
        model_fail(&w->model, "the book saw a message that was never given");
        return;
    }
    if (record->header_bytes != message->header_size || record->body_bytes != message->body_size ||
        record->envelope->recipient_count != message->envelope_recipients)
        model_fail(&w->model, "the book saw another message than was given");
    fold_one(w, message->sequence, MODEL_MESSAGE, record->position);
}

static void fold_expansion(struct world *w, const struct spool_followed *record)
{
    struct model_message *message = model_find(&w->model, &record->message);
    uint32_t parent = record->expansion->parent, first = 0;
    if (!message || parent >= message->expansions) {
        model_fail(&w->model, "the book saw an expansion that was never given");
        return;
    }
    first = message->envelope_recipients;
    for (uint32_t i = 0; i < parent; i++)
        first += message->children[i];
    if (record->first_child != first || record->expansion->child_count != message->children[parent])
        model_fail(&w->model, "the book saw another expansion than was given");
    fold_one(w, message->sequence + 1 + parent, MODEL_EXPAND, record->position);
}

/* Events and statuses carry their sequence number as text. */
static uint64_t sequence_of(struct span text)
{
    uint64_t sequence = 0;
    ptrdiff_t end = span_find(text, ' ');
    span_to_u64(end < 0 ? text : span_first(text, (size_t)end), UINT64_MAX, &sequence);
    return sequence;
}

static void fold_event(struct world *w, const struct spool_followed *record)
{
    uint64_t sequence = sequence_of(record->event);
    fold_one(w, sequence, MODEL_EVENT, record->position);
    if (!model_failed(&w->model) && w->model.records[sequence].message != record->event.size)
        model_fail(&w->model, "the book saw another event than was given");
}

static void fold_status(struct world *w, const struct spool_followed *record)
{
    uint64_t sequence = record->status_count ? sequence_of(record->statuses[0].detail) : 0;
    const struct model_message *message = model_find(&w->model, &record->message);

    if (sequence == 0 && message && message->harmed)
        return; /* not by an act of ours */
    fold_one(w, sequence, MODEL_STATUS, record->position);
}

static void fold_record(struct world *w, const struct spool_followed *record)
{
    switch (record->kind) {
    case SPOOL_FOLLOWED_MESSAGE:
        fold_message(w, record);
        break;
    case SPOOL_FOLLOWED_EXPAND:
        fold_expansion(w, record);
        break;
    case SPOOL_FOLLOWED_STATUS:
        fold_status(w, record);
        break;
    case SPOOL_FOLLOWED_EVENT:
        fold_event(w, record);
        break;
    case SPOOL_FOLLOWED_DAMAGED:
        model_fail(&w->model, "the book found damage in segment %lu at %lu",
                   (unsigned long)record->position.segment, (unsigned long)record->position.offset);
        break;
    case SPOOL_FOLLOWED_GAP:
        model_fail(&w->model, "segments before %lu are gone that the book hasn't folded",
                   (unsigned long)record->next.segment);
        break;
    case SPOOL_FOLLOWED_GONE:
        model_fail(&w->model, "segments before %lu are gone, as if the book began anew",
                   (unsigned long)record->next.segment);
        break;
    case SPOOL_FOLLOWED_ALARM:
    case SPOOL_FOLLOWED_MOVED:
    case SPOOL_FOLLOWED_RESTATED:
    case SPOOL_FOLLOWED_SEAL:
        break;
    }
}

/* At the limit the book must have every sealed record; and what recovery left open is settled. */
static void check_complete(struct world *w)
{
    struct model *model = &w->model;
    bool settled = true;

    for (uint64_t i = model->folded_below; i < model->record_count; i++) {
        struct model_record *record = &model->records[i];
        if (record->fate == MODEL_MAYBE && i < model->recovered_below)
            record->fate = is_folded(w, record) ? MODEL_SEALED : MODEL_DEAD;
        if (record->fate == MODEL_SEALED && !is_folded(w, record))
            model_fail(model, "the book never saw record %lu", (unsigned long)i);
        settled = settled && (record->fate == MODEL_SEALED || record->fate == MODEL_DEAD) &&
                  spool_position_compare(record->folded_at, w->book.synced_at) < 0;
        model->folded_below += settled;
    }
}

void world_fold(struct world *w, unsigned records)
{
    struct spool_position limit = spool_sealed_position(w->spool);
    struct spool_followed record;
    int r = open_book(w);

    if (spool_position_compare(limit, w->book.at) < 0)
        model_fail(&w->model, "the sealed position went back");
    if (r == 0)
        spool_follower_set_limit(w->book.follower, limit);
    while (r == 0 && records-- > 0 && !model_failed(&w->model)) {
        r = spool_follower_next(w->book.follower, &record);
        if (r == 0) {
            check_complete(w);
            return;
        }
        if (r < 0)
            break;
        fold_record(w, &record);
        w->book.at = record.next;
        r = 0;
    }
    bool stumbled = r == -EIO && w->stumbling;
    if (r < 0 && !stumbled && !store_sim_stopped(w->sim))
        model_fail(&w->model, "the book can't read: %s", strerror(-r));
}

void world_sync_book(struct world *w)
{
    if (!w->book_mutant) {
        w->book.synced_at = w->book.at;
        w->book.synced_last = w->book.last;
    }
    spool_book_synced(w->spool, w->book.at);
}
