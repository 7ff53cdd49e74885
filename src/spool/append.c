/*
 * Appends: records are encoded into blocks at once; group.c writes the blocks.
 *
 * At once, because what the caller gives is only borrowed, and a record's bytes are all that has to
 * be kept of it. Checksums wait for the group: they cover the place on disk, which is chosen there.
 *
 * Each append does first whatever can fail (checks, memory, names) and then what can't: an error
 * leaves neither a half record in a block nor a mark in the index.
 */
#include "spool/lane.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What the fixed fields of any record take at most, its header included; likewise of a
 * recipient, a status and all alarms of a group. */
enum { FIXED_BOUND = 512, RECIPIENT_FIXED = 32, STATUS_FIXED = 128, ALARM_BYTES_MAX = 4096 };

struct unit *append_unit_new(enum unit_kind kind, size_t change_count)
{
    struct unit *unit = calloc(1, sizeof(*unit) + change_count * sizeof(struct index_change));
    if (unit) {
        unit->kind = kind;
        unit->change_count = (uint32_t)change_count;
    }
    return unit;
}

/* Blocks of the usual size are kept and used again: a fresh one of 256 KiB would be mapped and
 * faulted in page by page for every few messages. */
struct block *append_block_new(struct spool *spool, size_t bytes)
{
    struct block *block;

    if (bytes <= BLOCK_BYTES && !list_is_empty(&spool->free_blocks)) {
        struct list *link = list_take_first(&spool->free_blocks);
        spool->free_block_count--;
        block = CONTAINER_OF(link, struct block, link);
    } else {
        size_t size = bytes < BLOCK_BYTES ? BLOCK_BYTES : bytes;
        block = malloc(sizeof(*block) + size);
        if (!block)
            return NULL;
        *block = (struct block){.size = size};
        list_init(&block->units);
    }
    block->used = 0;
    return block;
}

void append_block_free(struct spool *spool, struct block *block)
{
    list_remove(&block->link);
    if (block->size == BLOCK_BYTES && spool->free_block_count < FREE_BLOCKS_MAX) {
        list_append(&spool->free_blocks, &block->link);
        spool->free_block_count++;
        return;
    }
    free(block);
}

/* A block is written whole, so it may never grow beyond what one segment takes: it may have more
 * memory than a small segment has room. */
bool append_block_has_room(const struct spool *spool, const struct block *block, size_t bytes)
{
    return block->size - block->used >= bytes && block->used + bytes <= group_room_bytes(spool);
}

/* Only the last block is looked at, although an earlier one may have room: records must stay in the
 * order in which they were appended. Replay and the book take the last word on a recipient for the
 * true one. */
struct block *append_block(struct spool *spool, size_t bytes)
{
    struct block *block;

    if (!list_is_empty(&spool->blocks)) {
        block = CONTAINER_OF(spool->blocks.prev, struct block, link);
        if (append_block_has_room(spool, block, bytes))
            return block;
    }
    block = append_block_new(spool, bytes);
    if (block)
        list_append(&spool->blocks, &block->link);
    return block;
}

/* An empty one would be the first of a group and say that any room is enough. */
void append_block_cut(struct spool *spool, struct block *block, size_t used)
{
    block->used = used;
    if (used == 0)
        append_block_free(spool, block);
}

/* A buffer over the room behind a record's header; it can't grow out of the block. */
static int open_record(struct block *block, struct buffer *out)
{
    if (block->size - block->used <= RECORD_HEADER_BYTES)
        return -EMSGSIZE;
    size_t room = block->size - block->used - RECORD_HEADER_BYTES;
    *out = (struct buffer){
        .data = block->data + block->used + RECORD_HEADER_BYTES, .capacity = room, .limit = room};
    return 0;
}

/* The padding belongs to the record: the next one starts where record_bytes() says, a multiple of
 * 8. */
static int close_record(struct block *block, enum spool_record_type type, struct buffer *b,
                        size_t meta_bytes)
{
    size_t padding = record_bytes(0, b->size) - RECORD_HEADER_BYTES - b->size;

    if (buffer_append(b, (const char[RECORD_ALIGN]){0}, padding) < 0)
        return b->error;
    record_begin(block->data + block->used, type, (uint32_t)meta_bytes,
                 (uint32_t)(b->size - padding - meta_bytes));
    block->used += RECORD_HEADER_BYTES + b->size;
    return 0;
}

int append_record(struct block *block, enum spool_record_type type, const struct codec *codec,
                  const void *value)
{
    struct buffer b;
    int r = open_record(block, &b);

    if (r == 0)
        r = codec_encode(codec, value, &b);
    return r < 0 ? r : close_record(block, type, &b, b.size);
}

int append_message(struct block *block, enum spool_record_type type,
                   const struct record_message *meta, const struct envelope *envelope,
                   struct span header, struct span body)
{
    struct buffer b;
    int r = open_record(block, &b);

    if (r == 0)
        r = record_encode_message(meta, envelope, &b);
    if (r < 0)
        return r;
    size_t meta_bytes = b.size;
    buffer_append_span(&b, header);
    buffer_append_span(&b, body);
    return buffer_error(&b) < 0 ? buffer_error(&b) : close_record(block, type, &b, meta_bytes);
}

/* ---- Acceptance ---- */

size_t append_recipients_bound(const struct envelope_recipient *recipients, size_t count)
{
    size_t bound = 0;
    for (size_t i = 0; i < count; i++)
        bound += recipients[i].address.size + recipients[i].original.size + RECIPIENT_FIXED;
    return bound;
}

/* Of recipients for which RFC 3461 asked something (section 4: NOTIFY, ORCPT); few have any. */
static size_t wishes_bound(const struct envelope *e)
{
    size_t bound = 0;
    for (size_t i = 0; i < e->wish_count; i++)
        bound += e->wishes[i].original.size + RECIPIENT_FIXED;
    return bound;
}

/* How many bytes the records of this acceptance take at most: so that the block has room before
 * encoding begins, and nothing has to be undone in the middle. */
static size_t accept_bound(const struct spool_accept *a, size_t extent_count)
{
    const struct envelope *e = a->envelope;
    size_t bound = FIXED_BOUND + e->sender.size + e->message_id.size + e->envelope_id.size +
                   wishes_bound(e) + e->client.service.size + e->client.helo.size +
                   e->client.protocol.size + e->client.tls.size + e->client.auth.size +
                   append_recipients_bound(e->recipients, e->recipient_count) + a->header.size +
                   a->body.size + extent_count * sizeof(struct record_extent);

    for (size_t i = 0; i < a->expansion_count; i++)
        bound += FIXED_BOUND +
                 append_recipients_bound(a->expansions[i].children, a->expansions[i].child_count);
    return bound;
}

static int append_expansions(struct block *block, const struct spool_accept *a)
{
    uint32_t first_child = (uint32_t)a->envelope->recipient_count;
    int r = 0;

    for (size_t i = 0; r == 0 && i < a->expansion_count; i++) {
        struct spool_expansion expansion = a->expansions[i];
        struct record_expand expand = {.message = a->envelope->id,
                                       .time_us = a->envelope->accepted_us,
                                       .first_child = first_child,
                                       .expansions = &expansion,
                                       .expansion_count = 1};
        r = append_record(block, SPOOL_RECORD_EXPAND, &record_expand_codec, &expand);
        first_child += (uint32_t)expansion.child_count;
    }
    return r;
}

/* The MESSAGE and its EXPANDs, in one block, as one unit. After an error a part may be there. */
static int append_accept(struct block *block, struct unit *unit, const struct spool_accept *a,
                         const struct record_message *meta)
{
    size_t start = block->used;
    int r = append_message(block, SPOOL_RECORD_MESSAGE, meta, a->envelope, a->header, a->body);

    if (r == 0) {
        unit->offset = (uint32_t)start;
        unit->meta_bytes = record_meta_bytes_at(block->data + start);
        r = append_expansions(block, a);
    }
    if (r < 0)
        return r;
    list_append(&block->units, &unit->link);
    return 0;
}

/* Only new mail is kept out by pressure: outcomes and events of what is here already free space, or
 * tell why there is none (rule 7). BUSY ends with the next group, so it may be asked again. */
static int check_accept(const struct spool *spool, const struct spool_accept *a)
{
    if (a->body.size > spool->options.inline_bytes || (a->upload && a->body.size))
        return -EMSGSIZE;
    switch (spool_pressure(spool, NULL)) {
    case SPOOL_PRESSURE_NONE:
        return 0;
    case SPOOL_PRESSURE_BUSY:
        return -EAGAIN;
    default:
        return -ENOSPC;
    }
}

/* A small message goes to the pending blocks; one with an upload into a block of its own, which
 * waits for the upload's extents. Whose body is still being written must not hold up the groups of
 * others. A record that fits no group would wait for ever, so it is refused here. */
static int place_accept(struct spool *spool, const struct spool_accept *a, struct unit *unit)
{
    struct record_message meta = {.first_attempt_us = a->first_attempt_us,
                                  .header_bytes = a->header.size,
                                  .body_bytes =
                                      a->upload ? spool_upload_size(a->upload) : a->body.size};
    if (a->upload) {
        int r = bulk_seal_upload(a->upload, &meta.extents, &meta.extent_count);
        if (r < 0)
            return r;
    }
    size_t bound = accept_bound(a, meta.extent_count);
    if (bound > group_room_bytes(spool))
        return -EMSGSIZE;
    struct block *block = a->upload ? append_block_new(spool, bound) : append_block(spool, bound);
    if (!block)
        return -ENOMEM;
    size_t before = block->used;
    int r = append_accept(block, unit, a, &meta);
    if (r < 0) {
        append_block_cut(spool, block, before);
        return r;
    }
    if (a->upload)
        bulk_hold_accept(a->upload, block);
    else
        spool->pending_bytes += block->used - before;
    return 0;
}

int spool_accept(struct spool *spool, const struct spool_accept *a, spool_done_fn *done, void *arg)
{
    uint64_t body_bytes = a->upload ? spool_upload_size(a->upload) : a->body.size;
    struct spool_message *message;
    struct unit *unit;
    int r = check_accept(spool, a);

    if (r < 0)
        return r;
    unit = append_unit_new(UNIT_ACCEPT, 0);
    if (!unit)
        return -ENOMEM;
    r = index_new_message(&spool->index, a->envelope, a->expansions, a->expansion_count,
                          a->first_attempt_us, a->header.size + body_bytes, &message);
    if (r < 0) {
        free(unit);
        return r;
    }
    /* In the index before it is sealed, hidden, so that no second message gets its id. And what
     * can't be applied after the seal for want of memory isn't begun. */
    message->flags |= SPOOL_MESSAGE_UNSEALED;
    r = index_add(&spool->index, message);
    if (r < 0) {
        index_free_message(&spool->index, message);
        free(unit);
        return r;
    }
    unit->message = message;
    unit->done = done;
    unit->arg = arg;
    message->pins++;
    r = place_accept(spool, a, unit);
    if (r < 0) {
        index_remove(&spool->index, message);
        index_free_message(&spool->index, message);
        free(unit);
    }
    return r;
}

/* ---- Outcomes ---- */

static size_t status_bound(const struct spool_status *statuses, size_t count)
{
    size_t bound = FIXED_BOUND;
    for (size_t i = 0; i < count; i++) {
        const struct spool_status *s = &statuses[i];
        bound += STATUS_FIXED + s->status.size + s->reply.size + s->host.size + s->tls.size +
                 s->remote_id.size + s->detail.size;
    }
    return bound;
}

/* 0, -ENOENT, or -EALREADY when a recipient has its fate. */
static int check_statuses(struct spool_message *message, const struct spool_status *statuses,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (statuses[i].outcome == 0 || statuses[i].outcome > SPOOL_OUTCOME_MAX)
            return -EINVAL;
        const struct spool_recipient *r = index_recipient(message, statuses[i].recipient);
        /* Rule 4, before it is even sealed: of two final outcomes only the first is true. */
        if (!r || r->is_closing)
            return -EALREADY;
        if (statuses[i].outcome == SPOOL_OUTCOME_REROUTED &&
            (!statuses[i].host.size || statuses[i].host.size > ENVELOPE_ADDRESS_MAX))
            return -EINVAL;
    }
    return count ? 0 : -EINVAL;
}

/* Where rerouted ones go is interned now: what is sealed must be applied, and that needs memory. */
static int intern_routes(struct spool *spool, struct unit *unit,
                         const struct spool_status *statuses)
{
    for (uint32_t i = 0; i < unit->change_count; i++) {
        int r;
        if (statuses[i].outcome != SPOOL_OUTCOME_REROUTED)
            continue;
        r = domains_use(&spool->index.domains, statuses[i].host, &unit->changes[i].domain);
        if (r < 0)
            return r;
        unit->changes[i].reroutes = true;
    }
    return 0;
}

static void release_routes(struct spool *spool, struct unit *unit)
{
    for (uint32_t i = 0; i < unit->change_count; i++)
        if (unit->changes[i].reroutes)
            domains_release(&spool->index.domains, unit->changes[i].domain);
}

/* Called when the record is in its block, so that nothing can fail any more: what is marked as
 * closing here would else never be closed. */
static void note_changes(struct unit *unit, const struct spool_status *statuses)
{
    for (uint32_t i = 0; i < unit->change_count; i++) {
        unit->changes[i] = (struct index_change){.recipient = statuses[i].recipient,
                                                 .domain = unit->changes[i].domain,
                                                 .reroutes = unit->changes[i].reroutes,
                                                 .outcome = statuses[i].outcome,
                                                 .attempts = statuses[i].attempts,
                                                 .next_attempt_us = statuses[i].next_attempt_us};
        if (spool_outcome_is_final(statuses[i].outcome))
            index_recipient(unit->message, statuses[i].recipient)->is_closing = true;
    }
}

/* A bound that is larger than any group's room is refused: no segment could ever take it. */
static int append_unit(struct spool *spool, struct unit *unit, size_t bound,
                       enum spool_record_type type, const struct codec *codec, const void *value)
{
    struct block *block = bound > group_room_bytes(spool) ? NULL : append_block(spool, bound);
    int r = bound > group_room_bytes(spool) ? -EMSGSIZE : block ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    size_t start = block->used;
    r = append_record(block, type, codec, value);
    if (r < 0) {
        append_block_cut(spool, block, start);
        return r;
    }
    unit->offset = (uint32_t)start;
    list_append(&block->units, &unit->link);
    spool->pending_bytes += block->used - start;
    return 0;
}

/* Appends of one message that may be under way: what its row's 16 bits can count, less what
 * compaction pins. */
enum { PINS_MAX = UINT16_MAX - 8 };

int spool_status(struct spool *spool, struct spool_message *message,
                 const struct spool_status *statuses, size_t count, spool_done_fn *done, void *arg)
{
    struct record_status record = {
        .message = message->id, .statuses = (struct spool_status *)statuses, .status_count = count};
    int r = check_statuses(message, statuses, count);

    if (r < 0)
        return r;
    if (message->pins >= PINS_MAX)
        return -EAGAIN;
    struct unit *unit = append_unit_new(UNIT_STATUS, count);
    if (!unit)
        return -ENOMEM;
    unit->message = message;
    unit->done = done;
    unit->arg = arg;
    r = intern_routes(spool, unit, statuses);
    if (r == 0)
        r = append_unit(spool, unit, status_bound(statuses, count), SPOOL_RECORD_STATUS,
                        &record_status_codec, &record);
    if (r < 0) {
        release_routes(spool, unit);
        free(unit);
        return r;
    }
    message->pins++;
    note_changes(unit, statuses);
    return 0;
}

/* ---- Events ---- */

/* Events come without a client that waits for them (a refusal costs a stranger nothing), so they
 * are bounded by what is pending, like mail. */
int spool_event(struct spool *spool, struct span bytes, spool_done_fn *done, void *arg)
{
    struct record_event event = {
        .source = SPOOL_EVENT_CALLER, .time_us = spool->now_us, .bytes = bytes};

    if (bytes.size > SPOOL_EVENT_MAX)
        return -EMSGSIZE;
    if (spool->pending_bytes > spool->options.pending_bytes)
        return -EAGAIN;
    struct unit *unit = append_unit_new(UNIT_EVENT, 0);
    if (!unit)
        return -ENOMEM;
    unit->done = done;
    unit->arg = arg;
    int r = append_unit(spool, unit, FIXED_BOUND + bytes.size, SPOOL_RECORD_EVENT,
                        &record_event_codec, &event);
    if (r < 0)
        free(unit);
    return r;
}

/* An alarm for which there is no memory is only lost to the book; what it tells of is still in
 * spool_damage_at() or spool_pressure(). */
void append_alarm(struct spool *spool, enum spool_alarm_kind kind, const struct id *message,
                  struct spool_position position, const char *format, ...)
{
    struct alarm *alarm = calloc(1, sizeof(*alarm));
    va_list args;

    if (!alarm)
        return;
    va_start(args, format);
    vsnprintf(alarm->text, sizeof(alarm->text), format, args);
    va_end(args);
    alarm->alarm = (struct spool_alarm){.kind = (uint8_t)kind,
                                        .time_us = spool->now_us,
                                        .segment = position.segment,
                                        .offset = position.offset,
                                        .text = span_from_cstr(alarm->text)};
    if (message)
        alarm->alarm.message = *message;
    list_append(&spool->alarms, &alarm->link);
}

/* Alarms stay in the list until the group with them is sealed: if it fails, they are said again.
 * Only so many fit a group's front, so that mail isn't held up by a disk that complains. */
void append_add_alarms(struct spool *spool, struct block *block)
{
    LIST_EACH(&spool->alarms, link)
    {
        struct alarm *alarm = CONTAINER_OF(link, struct alarm, link);
        char bytes[FIXED_BOUND];
        struct buffer b = {.data = bytes, .capacity = sizeof(bytes), .limit = sizeof(bytes)};
        struct record_event event = {.source = SPOOL_EVENT_SPOOL, .time_us = alarm->alarm.time_us};
        if (block->used > ALARM_BYTES_MAX)
            break;
        if (codec_encode(&spool_alarm_codec, &alarm->alarm, &b) < 0)
            continue;
        event.bytes = buffer_span(&b);
        if (append_record(block, SPOOL_RECORD_EVENT, &record_event_codec, &event) < 0)
            break; /* the rest goes with the next group */
        alarm->in_group = true;
    }
}

void append_alarms_sealed(struct spool *spool)
{
    LIST_EACH(&spool->alarms, link)
    {
        struct alarm *alarm = CONTAINER_OF(link, struct alarm, link);
        if (!alarm->in_group)
            continue;
        list_remove(link);
        free(alarm);
    }
}

void append_alarms_retry(struct spool *spool)
{
    LIST_EACH(&spool->alarms, link)
    CONTAINER_OF(link, struct alarm, link)->in_group = false;
}

/* ---- Failure ---- */

static void undo_status(struct unit *unit)
{
    for (uint32_t i = 0; i < unit->change_count; i++) {
        struct spool_recipient *r = index_recipient(unit->message, unit->changes[i].recipient);
        if (r && spool_outcome_is_final(unit->changes[i].outcome))
            r->is_closing = false;
    }
}

/* The completion is called last, when nothing here is looked at any more: it may append, or end
 * what it belongs to. */
void append_fail_unit(struct spool *spool, struct unit *unit, int error)
{
    struct spool_message *message = unit->message;
    spool_done_fn *done = unit->done;
    void *arg = unit->arg;

    list_remove(&unit->link);
    if (unit->kind == UNIT_STATUS) {
        undo_status(unit);
        release_routes(spool, unit);
    }
    if (unit->move || unit->restate)
        move_retry(spool, unit);
    if (unit->kind == UNIT_ACCEPT) {
        index_remove(&spool->index, message);
        index_free_message(&spool->index, message);
    } else if (message) {
        message->pins--;
        spool_drop_message(spool, message);
    }
    free(unit);
    if (done)
        done(arg, error);
}

/* Takes a unit's records out of its block. Those behind it move up; their checksums aren't there
 * yet, so nothing else has to change. */
static void cut_unit(struct spool *spool, struct block *block, struct unit *unit)
{
    struct list *after = unit->link.next;
    size_t end =
        after == &block->units ? block->used : CONTAINER_OF(after, struct unit, link)->offset;
    size_t bytes = end - unit->offset;

    memmove(block->data + unit->offset, block->data + end, block->used - end);
    for (; after != &block->units; after = after->next)
        CONTAINER_OF(after, struct unit, link)->offset -= (uint32_t)bytes;
    block->used -= bytes;
    spool->pending_bytes -= bytes;
    list_remove(&unit->link);
}

static bool has_status_of(const struct spool_group *group, const struct spool_message *message)
{
    LIST_EACH(&group->blocks, block_link)
    {
        const struct block *block = CONTAINER_OF(block_link, struct block, link);
        LIST_EACH(&block->units, link)
        {
            const struct unit *unit = CONTAINER_OF(link, struct unit, link);
            if (unit->kind == UNIT_STATUS && unit->message == message)
                return true;
        }
    }
    return false;
}

/* The pins say first that there is nothing to look for: they count all that is under way of it. */
static bool is_behind(const struct spool_group *group, const struct unit *unit)
{
    return unit->kind == UNIT_STATUS && unit->message->pins > 1 &&
           has_status_of(group, unit->message);
}

/* Behind all that the group has, so that they fail in the order in which they were appended. */
void append_fail_behind(struct spool *spool, struct spool_group *group)
{
    struct block *last = CONTAINER_OF(group->blocks.prev, struct block, link);

    LIST_EACH(&spool->blocks, block_link)
    {
        struct block *block = CONTAINER_OF(block_link, struct block, link);
        LIST_EACH(&block->units, link)
        {
            struct unit *unit = CONTAINER_OF(link, struct unit, link);
            if (!is_behind(group, unit))
                continue;
            cut_unit(spool, block, unit);
            list_append(&last->units, link);
        }
        append_block_cut(spool, block, block->used);
    }
}

/* Outcomes and events in the same blocks stay and wait for a segment (rule 7: the reserve is
 * theirs). Units are cut out first and failed afterwards, since a completion may append to the very
 * blocks that are walked here. */
void append_fail_accepts(struct spool *spool, int error)
{
    struct list cut;

    list_init(&cut);
    LIST_EACH(&spool->blocks, block_link)
    {
        struct block *block = CONTAINER_OF(block_link, struct block, link);
        LIST_EACH(&block->units, link)
        {
            struct unit *unit = CONTAINER_OF(link, struct unit, link);
            if (unit->kind != UNIT_ACCEPT)
                continue;
            cut_unit(spool, block, unit);
            list_append(&cut, link);
        }
        append_block_cut(spool, block, block->used);
    }
    while (!list_is_empty(&cut))
        append_fail_unit(spool, CONTAINER_OF(cut.next, struct unit, link), error);
}
