/*
 * MOVED and restated STATUS records: made when a group is taken, applied when it is sealed. Which
 * go together compact.h says.
 *
 * A MOVED says all of a message as it is when its group is taken; between that and the seal no
 * other group is in flight, so nothing can change behind it. A restated STATUS does the same for a
 * message whose MESSAGE record lies elsewhere.
 */
#include "spool/compact.h"

#include <errno.h>
#include <stdlib.h>

/* Upper bounds of what is encoded: a recipient's net state twice (as it waits, and as notified)
 * without its route, a restated status, and all fixed fields of a MOVED. */
enum { NET_BOUND = 64, ENTRY_BOUND = 128, MOVE_FIXED = 1024 };

void move_free(struct spool *spool, struct move *move)
{
    if (!move)
        return;
    list_remove(&move->link);
    move_unpin_extents(spool, move);
    spool_reader_close(spool, move->reader);
    free(move->extents);
    free(move->uses);
    free(move->is_pinned);
    free(move);
}

int restate_new(struct spool *spool, const struct id *id, uint64_t home)
{
    struct restate *restate = malloc(sizeof(*restate));
    if (!restate)
        return -ENOMEM;
    *restate = (struct restate){.id = *id, .home = home};
    list_append(&spool->restates, &restate->link);
    spool->compaction->outstanding++;
    return 0;
}

static void finished_one(struct spool *spool)
{
    if (spool->compaction)
        spool->compaction->outstanding--;
}

/* A group is taken for these alone, too: nobody else may be appending. */
bool move_has_any(const struct spool *spool)
{
    return !list_is_empty(&spool->moves) || !list_is_empty(&spool->restates);
}

/* ---- Net state ---- */

static uint8_t net_outcome(const struct spool_recipient *r)
{
    return r->state == SPOOL_RECIPIENT_HELD ? SPOOL_OUTCOME_HELD : SPOOL_OUTCOME_RELEASED;
}

/* Each that waits with where it goes; and again when its sender was notified. The names are
 * borrowed. */
static struct record_net *net_state(const struct spool *spool, const struct spool_message *message,
                                    struct arena *arena, size_t *out_count)
{
    struct record_net *net =
        arena_alloc_array(arena, 2 * (size_t)message->recipient_count + 1, sizeof(*net));

    *out_count = 0;
    for (uint32_t i = 0; net && i < message->recipient_count; i++) {
        const struct spool_recipient *r = &message->recipients[i];
        if (r->state == SPOOL_RECIPIENT_CLOSED)
            continue;
        struct record_net now = {.recipient = r->index,
                                 .outcome = net_outcome(r),
                                 .attempts = r->attempts,
                                 .next_attempt_us = r->next_attempt_us,
                                 .route = spool_domain(spool, r->domain)};
        net[(*out_count)++] = now;
        now.outcome = SPOOL_OUTCOME_NOTIFIED;
        now.route = SPAN("");
        if (r->is_notified)
            net[(*out_count)++] = now;
    }
    return net;
}

/* `each`: what one recipient takes beside its route. */
static size_t net_bound(const struct spool *spool, const struct spool_message *message, size_t each)
{
    size_t bound = 0;

    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state != SPOOL_RECIPIENT_CLOSED)
            bound += each + spool_domain(spool, message->recipients[i].domain).size;
    return bound;
}

/* ---- Restated ---- */

static size_t restated_bound(const struct spool *spool, const struct spool_message *message)
{
    return ENTRY_BOUND + (message ? net_bound(spool, message, ENTRY_BOUND) : 0);
}

static int append_restated(const struct spool *spool, struct block *block, struct unit *unit,
                           const struct id *id, uint64_t home)
{
    struct record_status record = {.message = *id, .home = home, .flags = RECORD_STATUS_RESTATED};
    struct arena arena = ARENA_INIT;
    struct record_net *net = NULL;
    int r = 0;

    if (unit->message) {
        net = net_state(spool, unit->message, &arena, &record.status_count);
        record.statuses =
            arena_alloc_array(&arena, record.status_count + 1, sizeof(*record.statuses));
        r = net && record.statuses ? 0 : -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < record.status_count; i++)
        record.statuses[i] = (struct spool_status){.recipient = net[i].recipient,
                                                   .outcome = net[i].outcome,
                                                   .attempts = net[i].attempts,
                                                   .next_attempt_us = net[i].next_attempt_us,
                                                   .host = net[i].route};
    if (r == 0)
        r = append_record(block, SPOOL_RECORD_STATUS, &record_status_codec, &record);
    arena_done(&arena);
    return r;
}

/* ---- MOVED ---- */

/* Those of its older records of which its new home must tell; the one that it leaves its MOVED
 * names. */
static bool is_to_be_told(const struct spool *spool, const struct move *move,
                          const struct compact_entry *concern)
{
    return concern->home != move->reader->home->number && recycle_exists(spool, concern->home);
}

static struct compact_entry *concerns_of(struct spool *spool, const struct move *move,
                                         size_t *out_count)
{
    *out_count = 0;
    return spool->compaction ? compact_concerns(spool->compaction, &move->reader->id, out_count)
                             : NULL;
}

/* Behind its MOVED, in the same block: so in the same segment. */
static int append_told(struct spool *spool, struct block *block, struct unit *unit,
                       const struct move *move)
{
    size_t count;
    const struct compact_entry *concerns = concerns_of(spool, move, &count);
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        if (is_to_be_told(spool, move, &concerns[i]))
            r = append_restated(spool, block, unit, &concerns[i].id, concerns[i].home);
    }
    return r;
}

static size_t told_bound(struct spool *spool, const struct move *move,
                         const struct spool_message *message)
{
    size_t count, bound = 0;
    const struct compact_entry *concerns = concerns_of(spool, move, &count);

    for (size_t i = 0; i < count; i++) {
        if (is_to_be_told(spool, move, &concerns[i]))
            bound += restated_bound(spool, message);
    }
    return bound;
}

/* Its meta is what it was and the net state. */
static size_t moved_bound(const struct spool *spool, const struct spool_reader *reader,
                          const struct spool_message *message)
{
    const struct spool_stored *s = &reader->stored;
    size_t bound =
        MOVE_FIXED + reader->meta_bytes + reader->data.size + net_bound(spool, message, NET_BOUND);

    for (size_t i = 0; i < s->expansion_count; i++)
        bound += NET_BOUND +
                 append_recipients_bound(s->expansions[i].children, s->expansions[i].child_count);
    return bound;
}

/* Most go where their address says: that needs no word. */
static void leave_out_own(const struct spool_stored *stored, struct record_net *net, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct envelope_recipient *r = spool_stored_recipient(stored, net[i].recipient);
        if (r && span_equal_nocase(index_domain_of(r->address), net[i].route))
            net[i].route = SPAN("");
    }
}

static int append_moved(const struct spool *spool, struct block *block, struct unit *unit,
                        const struct move *move)
{
    const struct spool_reader *reader = move->reader;
    struct record_message meta = reader->meta;
    struct arena arena = ARENA_INIT;

    meta.from = (struct spool_position){reader->home->number, reader->offset};
    meta.expansions = reader->stored.expansions;
    meta.expansion_count = reader->stored.expansion_count;
    if (move->extents)
        meta.extents = move->extents;
    meta.net = net_state(spool, unit->message, &arena, &meta.net_count);
    leave_out_own(&reader->stored, meta.net, meta.net_count);
    unit->offset = (uint32_t)block->used;
    int r = meta.net ? append_message(block, SPOOL_RECORD_MOVED, &meta, &reader->stored.envelope,
                                      reader->data, SPAN(""))
                     : -ENOMEM;
    arena_done(&arena);
    if (r == 0)
        unit->meta_bytes = record_meta_bytes_at(block->data + unit->offset);
    return r;
}

/* Still the message that was read, at the place where it was read? */
static struct spool_message *message_to_move(struct spool *spool, const struct move *move)
{
    struct spool_message *m = spool_find(spool, &move->reader->id);
    return m && index_home(m) == move->reader->home && m->offset == move->reader->offset ? m : NULL;
}

/* Not append_block(): that one would give a block of the callers' records, which come behind. */
static struct block *front_block(struct spool *spool, struct list *front, size_t bound)
{
    struct block *block;

    if (!list_is_empty(front)) {
        block = CONTAINER_OF(front->prev, struct block, link);
        if (append_block_has_room(spool, block, bound))
            return block;
    }
    block = append_block_new(spool, bound);
    if (block)
        list_append(front, &block->link);
    return block;
}

/* Larger than a segment: one from before segments were made smaller, or that has grown by where its
 * recipients were sent. It stays where it is, and so does the victim. */
static bool fits_no_segment(struct spool *spool, const struct id *id, size_t bound)
{
    if (bound <= group_room_bytes(spool))
        return false;
    if (spool->compaction) {
        spool->compaction->is_unworthy = true;
        spool->compaction->victim->stuck_on = *id;
    }
    return true;
}

static int give_up_move(struct spool *spool, struct move *move)
{
    move_free(spool, move);
    finished_one(spool);
    return 0;
}

/* 0: added, or nothing to add any more. */
static int add_move(struct spool *spool, struct list *front, struct move *move, uint64_t *budget)
{
    struct spool_message *message = message_to_move(spool, move);

    if (!message) /* it has its fate, or was moved: nothing is left here to save */
        return give_up_move(spool, move);
    size_t bound = moved_bound(spool, move->reader, message) + told_bound(spool, move, message);
    if (fits_no_segment(spool, &message->id, bound))
        return give_up_move(spool, move);
    struct unit *unit = append_unit_new(UNIT_MOVED, 0);
    struct block *block = unit ? front_block(spool, front, bound) : NULL;
    int r = -ENOMEM;
    size_t start = block ? block->used : 0;
    if (block) {
        unit->message = message;
        r = append_moved(spool, block, unit, move);
    }
    if (r == 0)
        r = append_told(spool, block, unit, move);
    if (r < 0) {
        if (block)
            append_block_cut(spool, block, start);
        free(unit);
        return r;
    }
    *budget = *budget > bound ? *budget - bound : 0;
    list_remove(&move->link);
    unit->move = move;
    message->pins++;
    list_append(&block->units, &unit->link);
    return 0;
}

/* ---- Restated alone ---- */

/* A message that isn't there any more is restated, too, with nobody who waits: as long as its
 * MESSAGE record lies somewhere, the log must say that all is done. */
static int add_restate(struct spool *spool, struct list *front, struct restate *restate,
                       uint64_t *budget)
{
    struct spool_message *message = spool_find(spool, &restate->id);
    size_t bound = restated_bound(spool, message);

    if (fits_no_segment(spool, &restate->id, bound)) {
        list_remove(&restate->link);
        free(restate);
        finished_one(spool);
        return 0;
    }
    struct unit *unit = append_unit_new(UNIT_RESTATED, 0);
    struct block *block = unit ? front_block(spool, front, bound) : NULL;
    int r = -ENOMEM;
    if (block) {
        unit->message = message;
        unit->offset = (uint32_t)block->used;
        r = append_restated(spool, block, unit, &restate->id, restate->home);
    }
    if (r < 0) {
        if (block)
            append_block_cut(spool, block, block->used);
        free(unit);
        return r;
    }
    *budget = *budget > bound ? *budget - bound : 0;
    list_remove(&restate->link);
    unit->restate = restate;
    if (message)
        message->pins++;
    list_append(&block->units, &unit->link);
    return 0;
}

/* A part of a group only, so that mail goes on. A quarter of the bytes. */
void move_add_records(struct spool *spool, struct list *front)
{
    uint64_t budget = spool->options.group_bytes / 4;
    int r = 0;

    while (r == 0 && budget && !list_is_empty(&spool->moves))
        r = add_move(spool, front, CONTAINER_OF(spool->moves.next, struct move, link), &budget);
    while (r == 0 && budget && !list_is_empty(&spool->restates))
        r = add_restate(spool, front, CONTAINER_OF(spool->restates.next, struct restate, link),
                        &budget);
}

/* ---- Sealed, or not ---- */

static void apply_move(struct spool *spool, struct segment *segment, struct unit *unit,
                       uint64_t offset)
{
    struct move *move = unit->move;
    struct spool_message *message = unit->message;
    size_t count;
    struct compact_entry *concerns = concerns_of(spool, move, &count);

    /* Rule 5b: the old records still exist, and without this one recovery would bring them back to
     * life. */
    segment_add_concern(segment, index_home(message)->number);
    for (size_t i = 0; i < count; i++) {
        segment_add_concern(segment, concerns[i].home);
        concerns[i].is_said = true;
    }
    index_set_home(message, segment, (uint32_t)offset, unit->meta_bytes);
    if (move->extents) {
        index_set_extents(message, move->uses);
        move->uses = NULL;
    }
    move_free(spool, move);
}

void move_apply(struct spool *spool, struct segment *segment, struct unit *unit, uint64_t offset)
{
    if (unit->move) {
        apply_move(spool, segment, unit, offset);
    } else {
        segment_add_concern(segment, unit->restate->home);
        free(unit->restate);
    }
    unit->move = NULL;
    unit->restate = NULL;
    finished_one(spool);
}

/* In front again: its state is computed anew when the next group is taken. */
void move_retry(struct spool *spool, struct unit *unit)
{
    if (unit->move)
        list_prepend(&spool->moves, &unit->move->link);
    else
        list_prepend(&spool->restates, &unit->restate->link);
    unit->move = NULL;
    unit->restate = NULL;
}
