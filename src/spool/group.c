/*
 * Group commit. Taking a group chooses its segment and its blocks; writing it fills the checksums,
 * which need the final offsets, and does the one write and the one sync; finishing it applies it to
 * memory. Between take and finish the index stands still at what was sealed before, so whatever is
 * computed from it at take time (MOVED) is exact.
 */
#include "spool/lane.h"
#include "spool/mutant.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

enum { OWN_BLOCK_BYTES = 8 * 1024 }; /* alarms and the CHECKPOINT record */

uint64_t group_room_bytes(const struct spool *spool)
{
    const struct spool_options *o = &spool->options;
    /* Header and copy, seal, trailer. */
    return o->segment_bytes - segment_first_offset(o->block_bytes) - 2 * (uint64_t)o->block_bytes;
}

/* Room is kept for the footer, but never refused to a group that needs a segment for itself. */
static uint64_t room_in(const struct spool *spool, const struct segment *segment, bool is_first)
{
    uint64_t used_up = 2 * (uint64_t)spool->options.block_bytes;
    uint64_t footer = spool->options.segment_bytes / 16;
    uint64_t start = is_first ? segment_first_offset(spool->options.block_bytes) : segment->end;
    uint64_t limit = segment->size_bytes - used_up;

    if (!is_first)
        limit -= footer;
    return start < limit ? limit - start : 0;
}

/* The header is made from what is sealed now: recovery believes the highest header on disk as to
 * where the log before it ended. used_number moves on even if this group then fails, since the
 * header may have reached the disk all the same. */
static void make_header(struct spool *spool, struct spool_group *group)
{
    struct segment *segment = group->segment;

    group->is_first = true;
    spool->used_number = segment->number;
    group->header = (struct segment_header){.block_bytes = spool->options.block_bytes,
                                            .number = segment->number,
                                            .size_bytes = segment->size_bytes,
                                            .created_us = spool->now_us,
                                            .previous_end = spool->sealed,
                                            .previous_seal = spool->last_seal,
                                            .previous_sum = spool->last_sum,
                                            .previous_sequence = spool->sequence};
    memcpy(group->header.lane, spool->lane, sizeof(group->header.lane));
    memcpy(group->header.salt, segment->salt, sizeof(group->header.salt));
}

/* The segment for a group whose first block has `bytes`: the open one, or a spare. Only the first
 * block is asked for: what doesn't fit behind it goes with the next group. The salt is new at each
 * use, so no record of the segment's earlier lives can pass for one of this. */
static struct segment *choose_segment(struct spool *spool, uint64_t bytes, bool *out_is_first)
{
    struct segment *segment = spool->open;

    *out_is_first = false;
    if (segment && bytes <= room_in(spool, segment, false))
        return segment;
    segment = spool_next_spare(spool);
    if (!segment || spool_random(spool, segment->salt, sizeof(segment->salt)) < 0)
        return NULL;
    *out_is_first = true;
    return segment;
}

/* Header blocks, then the seal's: it may share its last one with padding, so two are enough. Fresh
 * memory for each group would be four page faults in the way of the reply. */
static int take_frame(struct spool *spool)
{
    size_t size = 4 * (size_t)spool->options.block_bytes;

    if (!spool->frame)
        spool->frame = malloc(size);
    if (!spool->frame)
        return -ENOMEM;
    memset(spool->frame, 0, size);
    return 0;
}

static struct spool_group *group_new(struct spool *spool, struct segment *segment, bool is_first)
{
    struct spool_group *group = calloc(1, sizeof(*group));
    uint32_t block_bytes = spool->options.block_bytes;

    if (!group)
        return NULL;
    if (take_frame(spool) < 0) {
        free(group);
        return NULL;
    }
    group->frame = spool->frame;
    group->ops = spool->ops;
    group->segment = segment;
    group->block_bytes = block_bytes;
    group->place = segment_place(segment);
    list_init(&group->blocks);
    group->start = is_first ? segment_first_offset(block_bytes) : segment->end;
    if (is_first)
        make_header(spool, group);
    group->seal = (struct record_seal){.sequence = spool->sequence + 1,
                                       .time_us = spool->now_us,
                                       .previous = spool->last_seal,
                                       .previous_sum = spool->last_sum,
                                       .start = group->start};
    return group;
}

/* Statuses name the home of their message as it is when they are written: after a MOVED of an
 * earlier group it is another one than when they were appended. Without this rule 5b would count
 * the outcome for a segment that may be gone, and let its own go too early. */
static void patch_home(struct block *block, const struct unit *unit)
{
    uint64_t home = htole64(index_home(unit->message)->number);
    char *meta = block->data + unit->offset + RECORD_HEADER_BYTES;
    memcpy(meta + RECORD_STATUS_HOME_OFFSET, &home, sizeof(home));
}

static void patch_block(struct block *block)
{
    LIST_EACH(&block->units, link)
    {
        struct unit *unit = CONTAINER_OF(link, struct unit, link);
        if (unit->kind == UNIT_STATUS && index_home(unit->message))
            patch_home(block, unit);
    }
}

static uint64_t first_block_bytes(const struct spool *spool, const struct list *front)
{
    const struct list *list = list_is_empty(front) ? &spool->blocks : front;
    return CONTAINER_OF(list->next, struct block, link)->used;
}

/* Moves blocks into the group as long as they fit. The first one always does: the segment was
 * chosen for it, and append.c refuses what no segment could take. */
static uint64_t fill_group(struct spool_group *group, struct list *from, uint64_t room,
                           uint64_t *used, uint32_t *count)
{
    uint64_t taken = 0;

    LIST_EACH(from, link)
    {
        struct block *block = CONTAINER_OF(link, struct block, link);
        if (*used && (*used + block->used > room || *count == GROUP_BLOCKS_MAX))
            break;
        patch_block(block);
        list_remove(link);
        list_append(&group->blocks, link);
        *used += block->used;
        taken += block->used;
        ++*count;
    }
    return taken;
}

static bool has_pending(const struct spool *spool)
{
    return spool->pending_bytes || !list_is_empty(&spool->alarms) || checkpoint_has_record(spool) ||
           move_has_any(spool);
}

/* What comes before the callers' records: our own, computed from the index as it is now. They go in
 * front: what the log says of a message behind its MOVED applies to its new home. */
static void fill_front(struct spool *spool, struct list *front)
{
    list_init(front);
    if (!list_is_empty(&spool->alarms) || checkpoint_has_record(spool)) {
        struct block *block = append_block_new(spool, OWN_BLOCK_BYTES);
        if (!block)
            return;
        append_add_alarms(spool, block);
        checkpoint_add_record(spool, block);
        list_append(front, &block->link);
    }
    move_add_records(spool, front);
}

/* What found no room in the group: our own records, which are made anew for the next one. */
static void put_back(struct spool *spool, struct list *front)
{
    struct list *link;
    while ((link = list_take_first(front)) != NULL) {
        struct block *block = CONTAINER_OF(link, struct block, link);
        while (!list_is_empty(&block->units))
            append_fail_unit(spool, CONTAINER_OF(block->units.next, struct unit, link), -ECANCELED);
        append_block_free(spool, block);
    }
}

/* What goes in front of the callers' records is left out of account: it is made anew after the next
 * start. */
bool spool_lacks_segment(const struct spool *spool)
{
    const struct list *blocks = &spool->blocks;

    return !spool->in_flight && !list_is_empty(blocks) && !spool_next_spare(spool) &&
           (!spool->open || first_block_bytes(spool, blocks) > room_in(spool, spool->open, false));
}

/* One at a time: the next group's seal names this one's, and what is computed from the index
 * (MOVED, homes) must not change under a group that is being written. */
struct spool_group *spool_take_group(struct spool *spool, int64_t now_us)
{
    struct list front;
    bool is_first = false;
    uint32_t count = 0;

    spool_tell_time(spool, now_us);
    if (spool->in_flight || now_us < spool->retry_at_us || !has_pending(spool))
        return NULL;
    /* Rule 7: without a segment appends wait; prepare.c makes one or fails what new
     * mail waits for. */
    if (!spool->open && !spool_next_spare(spool))
        return NULL;
    fill_front(spool, &front);
    if (list_is_empty(&front) && list_is_empty(&spool->blocks))
        return NULL;
    struct segment *segment = choose_segment(spool, first_block_bytes(spool, &front), &is_first);
    struct spool_group *group = segment ? group_new(spool, segment, is_first) : NULL;
    if (!group) {
        put_back(spool, &front);
        return NULL;
    }
    /* A large group is cut: who came first would wait for the bytes of who came last. */
    uint64_t room = room_in(spool, segment, is_first), used = 0;
    if (room > spool->options.group_bytes)
        room = spool->options.group_bytes;
    fill_group(group, &front, room, &used, &count);
    spool->pending_bytes -= fill_group(group, &spool->blocks, room, &used, &count);
    put_back(spool, &front);
    group->seal_offset = group->start + used;
    group->end = segment_align(group->seal_offset + record_bytes(RECORD_SEAL_META_BYTES, 0),
                               group->block_bytes);
    assert(group->end + group->block_bytes <= segment->size_bytes);
    segment->pins++;
    spool->in_flight = group;
    return group;
}

/* ---- On any thread ---- */

/* On the writing thread, since it is most of a group's computing: the checksum of each body. */
static void finish_block(struct spool_group *group, struct block *block, uint64_t offset)
{
    block->file_offset = offset;
    for (size_t at = 0; at < block->used;) {
        uint64_t sum = record_finish(block->data + at, &group->place, offset + at);
        group->seal.sum = record_chain(group->seal.sum, sum);
        group->seal.count++;
        at += record_bytes_at(block->data + at);
    }
}

static void write_seal(struct spool_group *group, char *to)
{
    struct buffer b = {.data = to + RECORD_HEADER_BYTES,
                       .capacity = RECORD_SEAL_META_BYTES,
                       .limit = RECORD_SEAL_META_BYTES};
    int r = codec_encode(&record_seal_codec, &group->seal, &b);

    assert(r == 0 && b.size == RECORD_SEAL_META_BYTES);
    (void)r;
    record_begin(to, SPOOL_RECORD_SEAL, RECORD_SEAL_META_BYTES, 0);
    group->seal_sum = record_finish(to, &group->place, group->seal_offset);
}

void spool_write_group(struct spool_group *group)
{
    struct iovec parts[GROUP_BLOCKS_MAX + 2];
    uint64_t offset = group->start, write_at = group->start;
    size_t header_bytes = 2 * (size_t)group->block_bytes;
    int count = 0;

    if (group->is_first) {
        segment_encode_header(&group->header, group->frame);
        segment_encode_header(&group->header, group->frame + group->block_bytes);
        parts[count++] = (struct iovec){group->frame, header_bytes};
        write_at = 0;
    }
    LIST_EACH(&group->blocks, link)
    {
        struct block *block = CONTAINER_OF(link, struct block, link);
        finish_block(group, block, offset);
        parts[count++] = (struct iovec){block->data, block->used};
        offset += block->used;
    }
    write_seal(group, group->frame + header_bytes);
    parts[count++] = (struct iovec){group->frame + header_bytes, group->end - group->seal_offset};
    /* One write for headers, records and seal: whether all of it reached the disk the seal's
     * checksum over the group tells, so nothing has to be synced before it. */
    group->error = group->ops->write(group->segment->handle, write_at, parts, count);
    if (group->error == 0)
        group->error = group->ops->sync(group->segment->handle);
}

/* ---- Back on the loop ---- */

/* From here on the message is found, listed and scheduled. */
static void apply_accept(struct spool *spool, struct spool_group *group, struct unit *unit,
                         uint64_t offset)
{
    struct spool_message *message = unit->message;

    index_seal(&spool->index, message);
    index_set_home(message, group->segment, (uint32_t)offset, unit->meta_bytes);
    if (spool->hooks.added)
        spool->hooks.added(spool->hooks.arg, message);
}

/* The concern is noted while the row still knows its home: the message goes behind this, when it
 * was its last outcome. */
static void apply_status(struct spool *spool, struct spool_group *group, struct unit *unit)
{
    if (index_home(unit->message))
        segment_add_concern(group->segment, index_home(unit->message)->number);
    for (uint32_t i = 0; i < unit->change_count; i++) {
        struct spool_recipient *r = index_apply(&spool->index, unit->message, &unit->changes[i]);
        if (r && spool->hooks.changed)
            spool->hooks.changed(spool->hooks.arg, r);
    }
}

static void apply_unit(struct spool *spool, struct spool_group *group, struct block *block,
                       struct unit *unit)
{
    uint64_t offset = block->file_offset + unit->offset;

    switch (unit->kind) {
    case UNIT_ACCEPT:
        apply_accept(spool, group, unit, offset);
        break;
    case UNIT_STATUS:
        apply_status(spool, group, unit);
        break;
    case UNIT_MOVED:
    case UNIT_RESTATED:
        move_apply(spool, group->segment, unit, offset);
        break;
    case UNIT_EVENT:
        break;
    }
    if (unit->message) {
        unit->message->pins--;
        spool_drop_message(spool, unit->message);
        unit->message = NULL;
    }
}

static void apply_group(struct spool *spool, struct spool_group *group)
{
    struct segment *segment = group->segment;

    if (segment->state != SEGMENT_OPEN)
        segment_set_state(segment, SEGMENT_OPEN);
    segment->end = group->end;
    if (spool->open && spool->open != segment)
        segment_set_state(spool->open, SEGMENT_CLOSED);
    spool->open = segment;
    spool->sealed = (struct spool_position){segment->number, group->end};
    spool->last_seal = (struct spool_position){segment->number, group->seal_offset};
    spool->last_sum = group->seal_sum;
    spool->sequence = group->seal.sequence;
    spool->failures = 0;
    spool->counts.groups++;
    spool->counts.records += group->seal.count;
    spool->counts.bytes_written += group->end - group->start;
    append_alarms_sealed(spool);
    LIST_EACH(&group->blocks, block_link)
    {
        struct block *block = CONTAINER_OF(block_link, struct block, link);
        LIST_EACH(&block->units, link)
        apply_unit(spool, group, block, CONTAINER_OF(link, struct unit, link));
    }
}

/* Rule 6. The segment is never written or synced again; the next group takes another one, whose
 * header says that this one ends at its last good seal. What was sealed in it before stays good,
 * and compaction moves it. */
static void abandon_segment(struct spool *spool, struct spool_group *group)
{
    struct segment *segment = group->segment;
    int64_t pause = spool->options.retry_us;

    segment_set_state(segment, SEGMENT_FAILED);
    if (group->is_first) /* nothing is sealed in it, but its header blocks are used up */
        segment->end = group->start;
    /* A header that may be on the disk says where the open segment ended: so it takes no more. */
    bool reopens = SPOOL_MUTANT == MUTANT_SEGMENT_REOPENED && spool->open != segment;
    if (spool->open && spool->open != segment && !reopens)
        segment_set_state(spool->open, SEGMENT_CLOSED);
    if (!reopens)
        spool->open = NULL;
    /* The first failure is one segment's: the next one is tried at once. More in a row are the
     * disk's: pauses of 2, 4, … 64 times retry_us. */
    for (uint32_t i = 0; i < spool->failures && i < 6; i++)
        pause *= 2;
    spool->failures++;
    spool->retry_at_us = spool->now_us + (spool->failures > 1 ? pause : 0);
    append_alarms_retry(spool);
    append_alarm(spool, SPOOL_ALARM_FAILED, NULL,
                 (struct spool_position){segment->number, group->start}, "write or sync: %s",
                 strerror(-group->error));
}

/* After all of the group is in memory: a completion may look at any message of it, and append. */
static void complete_units(struct spool *spool, struct spool_group *group, int error)
{
    LIST_EACH(&group->blocks, block_link)
    {
        struct block *block = CONTAINER_OF(block_link, struct block, link);
        struct list *link;
        while (error && !list_is_empty(&block->units))
            append_fail_unit(spool, CONTAINER_OF(block->units.next, struct unit, link), error);
        while ((link = list_take_first(&block->units)) != NULL) {
            struct unit *unit = CONTAINER_OF(link, struct unit, link);
            if (unit->done)
                unit->done(unit->arg, 0);
            free(unit);
        }
    }
}

void spool_finish_group(struct spool *spool, struct spool_group *group, int64_t now_us)
{
    spool_tell_time(spool, now_us);
    spool->in_flight = NULL;
    spool->tasks_due = true;
    group->segment->pins--;
    /* Rule 1: only from here on the group counts, in memory and for who waits. */
    if (group->error == 0) {
        apply_group(spool, group);
    } else {
        abandon_segment(spool, group);
        append_fail_behind(spool, group);
    }
    complete_units(spool, group, group->error);
    while (!list_is_empty(&group->blocks))
        append_block_free(spool, CONTAINER_OF(group->blocks.next, struct block, link));
    free(group);
}
