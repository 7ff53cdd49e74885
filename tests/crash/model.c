#include "model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void model_done(struct model *model)
{
    for (size_t i = 0; i < model->message_count; i++) {
        struct model_message *message = &model->messages[i];
        for (uint32_t r = 0; r < message->recipient_count && message->recipients; r++)
            free(message->recipients[r].statuses);
        free(message->recipients);
    }
    free(model->messages);
    free(model->records);
    free(model->live);
    *model = (struct model){0};
}

void model_fail(struct model *model, const char *format, ...)
{
    va_list args;
    if (model_failed(model))
        return;
    va_start(args, format);
    vsnprintf(model->failure, sizeof model->failure, format, args);
    va_end(args);
}

/* Room for one more element in an array whose capacity is the next power of two. */
static void *grow(void *array, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    array = reallocarray(array, count ? 2 * count : 1, size);
    assert(array);
    return array;
}

uint64_t model_record(struct model *model, enum model_kind kind, uint32_t message)
{
    if (model->record_count == 0) { /* numbers start at 1 */
        model->records = grow(NULL, 0, sizeof *model->records);
        model->records[model->record_count++] = (struct model_record){.fate = MODEL_DEAD};
    }
    model->records = grow(model->records, model->record_count, sizeof *model->records);
    model->records[model->record_count] = (struct model_record){.kind = kind, .message = message};
    return model->record_count++;
}

void model_complete(struct model *model, uint64_t first, uint64_t count, int error)
{
    for (uint64_t i = first; i < first + count; i++) {
        assert(model->records[i].fate == MODEL_PENDING);
        model->records[i].fate = error == 0 ? MODEL_SEALED : MODEL_MAYBE;
        model->records[i].order = error == 0 ? ++model->sealed_count : 0;
    }
}

void model_crash(struct model *model)
{
    for (uint64_t i = 1; i < model->record_count; i++)
        if (model->records[i].fate == MODEL_PENDING)
            model->records[i].fate = MODEL_MAYBE;
}

/* The index lies in the id, so that an id is found without a search. */
static struct id make_id(uint32_t index, int64_t now_us)
{
    struct id id;
    uint64_t top = (uint64_t)now_us / 1000 << 6;
    for (int i = 5; i >= 0; i--, top >>= 8)
        id.bytes[i] = (uint8_t)top;
    for (int i = 9; i >= 6; i--, index >>= 8)
        id.bytes[i] = (uint8_t)index;
    return id;
}

struct model_message *model_find(struct model *model, const struct id *id)
{
    uint32_t index = 0;
    for (int i = 6; i < ID_BYTES; i++)
        index = index << 8 | id->bytes[i];
    if (index >= model->message_count || !id_equal(&model->messages[index].id, id))
        return NULL;
    return &model->messages[index];
}

static uint32_t draw_recipients(struct prng *prng)
{
    return prng_chance(prng, 7000)   ? 1
           : prng_chance(prng, 9000) ? 1 + (uint32_t)prng_below(prng, 5)
                                     : 1 + (uint32_t)prng_below(prng, 100);
}

struct model_message *model_new_message(struct model *model, struct prng *prng, int64_t now_us,
                                        uint32_t body_size, uint32_t recipients)
{
    uint32_t index = (uint32_t)model->message_count;
    model->messages = grow(model->messages, model->message_count, sizeof *model->messages);
    struct model_message *message = &model->messages[model->message_count++];
    *message = (struct model_message){.id = make_id(index, now_us),
                                      .seed = prng_next(prng),
                                      .accepted_us = now_us,
                                      .header_size = (uint32_t)prng_below(prng, 400),
                                      .body_size = body_size,
                                      .envelope_recipients = draw_recipients(prng)};
    if (recipients)
        message->envelope_recipients = recipients;
    message->recipient_count = message->envelope_recipients;
    for (uint32_t i = 0; i < MODEL_EXPANSIONS_MAX && i < message->envelope_recipients; i++) {
        if (!prng_chance(prng, 1500))
            break;
        message->children[i] = 1 + (uint32_t)prng_below(prng, prng_chance(prng, 1000) ? 300 : 5);
        message->recipient_count += message->children[i];
        message->expansions++;
    }
    message->recipients = calloc(message->recipient_count, sizeof *message->recipients);
    assert(message->recipients);
    return message;
}

void model_give_message(struct model *model, struct model_message *message)
{
    uint32_t index = (uint32_t)(message - model->messages);
    message->sequence = model_record(model, MODEL_MESSAGE, index);
    for (uint32_t i = 0; i < message->expansions; i++)
        model_record(model, MODEL_EXPAND, index);
    model->live = grow(model->live, model->live_count, sizeof *model->live);
    model->live[model->live_count++] = index;
}

enum model_fate model_fate_of(const struct model *model, const struct model_message *message)
{
    return message->sequence ? model->records[message->sequence].fate : MODEL_DEAD;
}

bool model_is_parent(const struct model_message *message, uint32_t recipient)
{
    return recipient < message->expansions;
}

static enum model_fate status_fate(const struct model *model, const struct model_status *status)
{
    return model->records[status->sequence].fate;
}

const struct model_status *model_final(const struct model *model,
                                       const struct model_recipient *recipient)
{
    for (size_t i = recipient->count; i > 0; i--) {
        const struct model_status *status = &recipient->statuses[i - 1];
        if (spool_outcome_is_final(status->outcome) && status_fate(model, status) != MODEL_DEAD)
            return status;
    }
    return NULL;
}

/* It has a final status that is sealed, or (when `maybe`) could be. */
static bool is_closed(const struct model *model, const struct model_message *message,
                      uint32_t index, bool maybe)
{
    if (model_is_parent(message, index))
        return true;
    const struct model_status *final = model_final(model, &message->recipients[index]);
    return final && (maybe || status_fate(model, final) == MODEL_SEALED);
}

bool model_must_exist(const struct model *model, const struct model_message *message)
{
    if (model_fate_of(model, message) != MODEL_SEALED || message->gone)
        return false;
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (!is_closed(model, message, i, true))
            return true;
    return false;
}

void model_add_status(struct model_message *message, uint32_t index,
                      const struct model_status *status)
{
    struct model_recipient *recipient = &message->recipients[index];
    recipient->statuses = grow(recipient->statuses, recipient->count, sizeof *status);
    recipient->statuses[recipient->count++] = *status;
}

/* Is `shown` what a recipient looks like after `status` (NULL: none yet)? */
static bool looks_like(const struct model_message *message, const struct model_status *status,
                       const struct spool_recipient *shown)
{
    bool closed = !shown || shown->state == SPOOL_RECIPIENT_CLOSED;
    if (status && spool_outcome_is_final(status->outcome))
        return closed;
    if (closed)
        return false;
    bool held = status && status->outcome == SPOOL_OUTCOME_HELD;
    if (held != (shown->state == SPOOL_RECIPIENT_HELD))
        return false;
    if (shown->attempts != (status ? status->attempts : 0))
        return false;
    int64_t next_us = status ? status->next_attempt_us : message->accepted_us;
    return held || shown->next_attempt_us == next_us;
}

/* Recovery has settled a status; settled twice it must be the same way, or half a record is there.
 */
static void settle(struct model *model, const struct model_status *status, enum model_fate fate)
{
    uint8_t *was = &model->records[status->sequence].fate;
    if (*was != MODEL_MAYBE && *was != fate)
        model_fail(model, "record %lu is there in part", (unsigned long)status->sequence);
    *was = fate;
}

/* A final outcome that was given again after a failure: which of the two is there can't be seen,
 * the book will show it. */
static bool is_repeated(const struct model *model, const struct model_recipient *recipient,
                        size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (spool_outcome_is_final(recipient->statuses[i].outcome) &&
            status_fate(model, &recipient->statuses[i]) != MODEL_DEAD)
            return spool_outcome_is_final(recipient->statuses[index].outcome);
    return false;
}

bool model_adopt_recipient(struct model *model, struct model_message *message, uint32_t index,
                           const struct spool_recipient *shown)
{
    struct model_recipient *recipient = &message->recipients[index];
    if (model_is_parent(message, index))
        return !shown || shown->state == SPOOL_RECIPIENT_CLOSED;
    for (size_t i = recipient->count; i > 0; i--) {
        const struct model_status *status = &recipient->statuses[i - 1];
        enum model_fate fate = status_fate(model, status);
        if (fate == MODEL_DEAD || status->outcome == SPOOL_OUTCOME_NOTIFIED)
            continue; /* a notice changes nothing but its mark: model_may_be_notified() */
        if (looks_like(message, status, shown)) {
            if (!is_repeated(model, recipient, i - 1))
                settle(model, status, MODEL_SEALED);
            return true;
        }
        if (fate == MODEL_SEALED)
            return false;
        settle(model, status, MODEL_DEAD);
    }
    return looks_like(message, NULL, shown);
}

bool model_may_be_notified(const struct model *model, const struct model_recipient *recipient,
                           bool notified)
{
    bool sealed = false, possible = false;

    for (size_t i = 0; i < recipient->count; i++) {
        const struct model_status *status = &recipient->statuses[i];
        enum model_fate fate = status_fate(model, status);
        if (status->outcome != SPOOL_OUTCOME_NOTIFIED)
            continue;
        sealed |= fate == MODEL_SEALED;
        possible |= fate == MODEL_SEALED || fate == MODEL_MAYBE;
    }
    return notified ? possible : !sealed;
}

bool model_may_go_to(const struct model *model, const struct model_recipient *recipient,
                     struct span own, struct span where)
{
    for (size_t i = recipient->count; i > 0; i--) {
        const struct model_status *status = &recipient->statuses[i - 1];
        enum model_fate fate = status_fate(model, status);
        if (!status->route.size || fate == MODEL_DEAD || fate == MODEL_PENDING)
            continue;
        if (span_equal(status->route, where))
            return true;
        if (fate == MODEL_SEALED)
            return false;
    }
    return span_equal(own, where);
}

static void forget(struct model_message *message)
{
    for (uint32_t r = 0; r < message->recipient_count; r++)
        free(message->recipients[r].statuses);
    free(message->recipients);
    message->recipients = NULL;
}

void model_sweep(struct model *model)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->live_count; i++) {
        struct model_message *message = &model->messages[model->live[i]];
        if (message->gone || model_fate_of(model, message) == MODEL_DEAD)
            forget(message);
        else
            model->live[kept++] = model->live[i];
    }
    model->live_count = kept;
}
