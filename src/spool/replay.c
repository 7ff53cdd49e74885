/*
 * Replay: what one record does to the state. Used by recovery; applying a record twice, or a prefix
 * of the log twice, gives the same state (rule 3), since each names absolute values.
 */
#include "spool/lane.h"
#include "spool/scan.h"

#include <errno.h>
#include <stdlib.h>

/* Forgets what an earlier reading of the same log said of this message. */
static void forget(struct spool *spool, const struct id *id)
{
    struct spool_message *message = index_find(&spool->index, id);
    if (!message)
        return;
    index_remove(&spool->index, message);
    index_free_message(&spool->index, message);
}

/* Which segments the extents lie in. A segment that isn't there damages the message, unless a later
 * record says that it had its fate: so it is only flagged here. */
static int find_extents(struct spool *spool, struct spool_message *message,
                        const struct record_message *meta)
{
    struct spool_extents *extents;

    if (!meta->extent_count)
        return 0;
    extents = calloc(1, sizeof(*extents) + meta->extent_count * sizeof(extents->uses[0]));
    if (!extents)
        return -ENOMEM;
    for (size_t i = 0; i < meta->extent_count; i++) {
        struct segment *segment = spool_segment(spool, STORE_BULK, meta->extents[i].segment);
        if (segment)
            index_count_use(extents, segment, meta->extents[i].bytes, spool->options.block_bytes);
        else
            message->flags |= SPOOL_MESSAGE_LACKS_BYTES;
    }
    index_set_extents(message, extents);
    return 0;
}

/* Inline bytes that are damaged are only flagged here, too (find_extents). */
static int place(struct spool *spool, struct segment *segment, const struct scan_record *record,
                 const struct record_message *meta, struct spool_message *message)
{
    int r = find_extents(spool, message, meta);

    if (r == 0)
        r = index_add(&spool->index, message);
    if (r < 0) {
        index_set_extents(message, NULL);
        index_free_message(&spool->index, message);
        return r;
    }
    index_set_home(message, segment, (uint32_t)record->offset, record->header.meta_bytes);
    if (record->data_is_damaged)
        message->flags |= SPOOL_MESSAGE_LACKS_BYTES;
    return 0;
}

/* The last reading counts: with a checkpoint the row may be there already, as it was later; what
 * follows in the log brings it there again. */
static int replay_message(struct spool *spool, struct segment *segment,
                          const struct scan_record *record, struct arena *arena)
{
    struct record_message meta;
    struct envelope envelope;
    struct spool_message *message;
    int r = record_decode_message(record->meta, record->header.version, arena, &meta, &envelope);

    if (r < 0)
        return r;
    forget(spool, &envelope.id);
    r = index_new_message(&spool->index, &envelope, NULL, 0, meta.first_attempt_us,
                          meta.header_bytes + meta.body_bytes, &message);
    return r < 0 ? r : place(spool, segment, record, &meta, message);
}

static size_t count_rows(const struct record_message *meta)
{
    size_t rows = 0;
    for (size_t i = 0; i < meta->net_count; i++)
        rows += meta->net[i].outcome != SPOOL_OUTCOME_NOTIFIED;
    return rows;
}

static int moved_row(struct spool *spool, const struct spool_stored *stored,
                     const struct record_net *net, struct spool_recipient *out)
{
    const struct envelope_recipient *recipient = spool_stored_recipient(stored, net->recipient);

    if (!recipient || (out->row && net->recipient <= out[-1].index))
        return -EBADMSG;
    out->index = net->recipient;
    out->attempts = net->attempts;
    out->next_attempt_us = net->next_attempt_us;
    out->state =
        net->outcome == SPOOL_OUTCOME_HELD ? SPOOL_RECIPIENT_HELD : SPOOL_RECIPIENT_WAITING;
    if (net->route.size)
        return domains_use(&spool->index.domains, net->route, &out->domain);
    return index_set_domain(&spool->index, out, recipient->address);
}

/* That a recipient's sender was notified stands behind that the recipient waits. */
static int moved_notified(struct spool_message *message, const struct record_net *net,
                          uint32_t row_count)
{
    if (row_count == 0 || message->recipients[row_count - 1].index != net->recipient)
        return -EBADMSG;
    message->recipients[row_count - 1].is_notified = 1;
    return 0;
}

/* The message's waiting rows are exactly those that the record names. */
static int moved_rows(struct spool *spool, const struct record_message *meta,
                      const struct envelope *envelope, struct spool_message **out)
{
    struct spool_stored stored = {.envelope = *envelope,
                                  .expansions = meta->expansions,
                                  .expansion_count = meta->expansion_count};
    struct spool_message *message = index_new_rows(&spool->index, (uint32_t)count_rows(meta));
    uint32_t row = 0;
    int r = message ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < meta->net_count; i++) {
        const struct record_net *net = &meta->net[i];
        if (net->outcome == SPOOL_OUTCOME_NOTIFIED)
            r = moved_notified(message, net, row);
        else
            r = moved_row(spool, &stored, net, &message->recipients[row++]);
    }
    if (r < 0) {
        index_free_message(&spool->index, message);
        return r;
    }
    message->waiting = message->recipient_count;
    message->id = envelope->id;
    message->sender = index_sender_hash(&spool->index, envelope->sender);
    message->accepted_us = envelope->accepted_us;
    message->size_bytes = meta->header_bytes + meta->body_bytes;
    *out = message;
    return 0;
}

static int replay_moved(struct spool *spool, struct segment *segment,
                        const struct scan_record *record, struct arena *arena)
{
    struct record_message meta;
    struct envelope envelope;
    struct spool_message *message;
    int r = record_decode_message(record->meta, record->header.version, arena, &meta, &envelope);

    if (r < 0)
        return r;
    segment_add_concern(segment, meta.from.segment);
    forget(spool, &envelope.id);
    r = moved_rows(spool, &meta, &envelope, &message);
    return r < 0 ? r : place(spool, segment, record, &meta, message);
}

/* Without its message there is nobody to expand: it has its fate by now, or its MESSAGE is damaged
 * and was noted. */
static int replay_expand(struct spool *spool, const struct scan_record *record, struct arena *arena)
{
    struct record_expand expand;
    int r = codec_decode(&record_expand_codec, record->meta, arena, &expand);

    if (r < 0)
        return r;
    struct spool_message *message = index_find(&spool->index, &expand.message);
    if (!message || expand.expansion_count != 1)
        return 0;
    return index_expand(&spool->index, message, &expand.expansions[0], expand.first_child);
}

/* A restated record names all that wait. */
static void close_unnamed(struct spool *spool, struct spool_message *message,
                          const struct record_status *status)
{
    size_t next = 0;

    for (uint32_t i = 0; i < message->recipient_count; i++) {
        struct index_change change = {.recipient = message->recipients[i].index,
                                      .outcome = SPOOL_OUTCOME_REMOVED};
        while (next < status->status_count && status->statuses[next].recipient < change.recipient)
            next++;
        if (next == status->status_count || status->statuses[next].recipient != change.recipient)
            index_apply(&spool->index, message, &change);
    }
}

/* A restated record names where each goes, for a REROUTED of before may be gone. */
static int replay_route(struct spool *spool, const struct record_status *record,
                        const struct spool_status *status, struct index_change *change)
{
    change->reroutes = status->outcome == SPOOL_OUTCOME_REROUTED ||
                       (record->flags & RECORD_STATUS_RESTATED && status->host.size);
    if (!change->reroutes)
        return 0;
    return domains_use(&spool->index.domains, status->host, &change->domain);
}

/* The concern is noted also when the message is gone from memory: its MESSAGE record may still lie
 * on disk, and would come back to life if this went first (rule 5b). */
static int replay_status(struct spool *spool, struct segment *segment,
                         const struct scan_record *record, struct arena *arena)
{
    struct record_status status;
    int r = codec_decode(&record_status_codec, record->meta, arena, &status);

    if (r < 0)
        return r;
    segment_add_concern(segment, status.home);
    struct spool_message *message = index_find(&spool->index, &status.message);
    if (!message)
        return 0;
    if (status.flags & RECORD_STATUS_RESTATED)
        close_unnamed(spool, message, &status);
    for (size_t i = 0; r == 0 && i < status.status_count; i++) {
        struct index_change change = {.recipient = status.statuses[i].recipient,
                                      .outcome = status.statuses[i].outcome,
                                      .attempts = status.statuses[i].attempts,
                                      .next_attempt_us = status.statuses[i].next_attempt_us};
        r = replay_route(spool, &status, &status.statuses[i], &change);
        if (r == 0)
            index_apply(&spool->index, message, &change);
    }
    if (message->waiting == 0)
        forget(spool, &status.message);
    return r;
}

int replay_record(struct spool *spool, struct segment *segment, const struct scan_record *record)
{
    struct arena arena = ARENA_INIT;
    int r = 0;

    switch (record->header.type) {
    case SPOOL_RECORD_MESSAGE:
        r = replay_message(spool, segment, record, &arena);
        break;
    case SPOOL_RECORD_MOVED:
        r = replay_moved(spool, segment, record, &arena);
        break;
    case SPOOL_RECORD_EXPAND:
        r = replay_expand(spool, record, &arena);
        break;
    case SPOOL_RECORD_STATUS:
        r = replay_status(spool, segment, record, &arena);
        break;
    default: /* nothing that the state keeps */
        break;
    }
    arena_done(&arena);
    return r;
}
