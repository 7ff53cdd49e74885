/*
 * Writing a checkpoint in the background: the loop encodes a slice of the rows, a thread writes it
 * as a part, and so on; then the manifest. Only when the manifest is durable do the old parts go: a
 * crash at any point finds the old checkpoint whole, or the new one.
 */
#include "spool/checkpoint.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* One checkpoint from its first slice to its manifest. */
struct checkpoint_work {
    struct checkpoint_manifest manifest;
    struct arena arena; /* the manifest's lists of segments */
    struct spool_listing *listing;
    bool listed_all;
};

struct checkpoint_task {
    struct spool_task task;
    struct store *store;
    char name[CHECKPOINT_NAME_BYTES];
    struct buffer names, rows; /* a part; or the manifest in `rows` */
    bool is_manifest;
    uint64_t generation;
};

/* ---- Beginning ---- */

/* In whole segments: what a start would have to replay. */
static uint32_t closed_since(const struct spool *spool)
{
    uint32_t count = 0;
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        struct spool_position end = {segment->number, segment->end};
        count += segment->state == SEGMENT_CLOSED &&
                 spool_position_compare(end, spool->checkpoint_position) > 0;
    }
    return count;
}

/* When much waits a checkpoint is large: it is written again when it is an eighth of what came
 * since, lest mail waits for it, on the loop and on the disk. */
enum { CHECKPOINT_SHARE = 8 };

/* The last condition: the manifest names a position and the seal before it, and both must be of one
 * segment. */
static bool is_due(const struct spool *spool)
{
    uint64_t closed = closed_since(spool);

    return closed >= spool->options.checkpoint_segments &&
           closed * spool->options.segment_bytes >= CHECKPOINT_SHARE * spool->checkpoint_bytes &&
           spool->last_seal.segment == spool->sealed.segment;
}

static int note_segment(struct checkpoint_work *work, const struct segment *segment)
{
    struct checkpoint_segment *row = &work->manifest.segments[work->manifest.segment_count++];

    row->number = segment->number;
    row->concerns_all = segment->concerns_all;
    row->concern_count = segment->concern_count;
    row->concerns =
        arena_alloc_array(&work->arena, segment->concern_count + 1, sizeof(*row->concerns));
    if (!row->concerns)
        return -ENOMEM;
    for (uint32_t i = 0; i < segment->concern_count; i++)
        row->concerns[i].segment = segment->concerns[i];
    return 0;
}

static int note_segments(struct spool *spool, struct checkpoint_work *work)
{
    size_t count = 0;
    int r = 0;

    LIST_EACH(&spool->segments[STORE_LOG], link)
    count++;
    work->manifest.segments =
        arena_alloc_array(&work->arena, count + 1, sizeof(*work->manifest.segments));
    if (!work->manifest.segments)
        return -ENOMEM;
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (r == 0 && segment->state != SEGMENT_SPARE)
            r = note_segment(work, segment);
    }
    return r;
}

static void work_free(struct checkpoint_work *work)
{
    if (!work)
        return;
    spool_listing_free(work->listing);
    arena_done(&work->arena);
    free(work->manifest.parts);
    free(work);
}

void checkpoint_close(struct spool *spool)
{
    work_free(spool->checkpoint);
    spool->checkpoint = NULL;
}

/* The position is taken before the first row: what is sealed while rows are collected lies behind
 * it and is replayed over them. */
static struct checkpoint_work *begin(struct spool *spool)
{
    struct checkpoint_work *work = calloc(1, sizeof(*work));

    if (!work)
        return NULL;
    /* A number that was tried isn't used again: its parts may be what a manifest names that was
     * renamed but not known to be durable. */
    work->manifest = (struct checkpoint_manifest){.generation = ++spool->checkpoint_generation,
                                                  .position = spool->sealed,
                                                  .last_seal = spool->last_seal,
                                                  .last_sum = spool->last_sum};
    memcpy(work->manifest.lane, spool->lane, sizeof(spool->lane));
    if (note_segments(spool, work) < 0 || spool_listing_new(spool, &work->listing) < 0) {
        work_free(work);
        return NULL;
    }
    return work;
}

/* ---- A slice of rows ---- */

/* The part's own numbers for the domains that it names. */
struct local_names {
    uint32_t *of; /* by domain; 0: none yet, else one more than the number */
    size_t count;
    struct buffer *bytes;
};

/* A domain's number in the index is of this run of the server, so a part has numbers of its own and
 * the names with them: each part can be read alone. */
static int local_name(struct spool *spool, struct local_names *names, uint32_t domain,
                      uint32_t *out)
{
    if (!names->of[domain]) {
        struct span name = domains_name(&spool->index.domains, domain);
        uint32_t size = htole32((uint32_t)name.size);
        names->of[domain] = (uint32_t)++names->count;
        buffer_append(names->bytes, &size, sizeof(size));
        buffer_append_span(names->bytes, name);
    }
    *out = names->of[domain] - 1;
    return buffer_error(names->bytes);
}

static int fill_recipients(struct spool *spool, struct local_names *names,
                           const struct spool_message *message, struct arena *arena,
                           struct checkpoint_row *row)
{
    int r = 0;

    row->recipients =
        arena_alloc_array(arena, message->recipient_count + 1, sizeof(*row->recipients));
    if (!row->recipients)
        return -ENOMEM;
    for (uint32_t i = 0; r == 0 && i < message->recipient_count; i++) {
        const struct spool_recipient *from = &message->recipients[i];
        if (from->state == SPOOL_RECIPIENT_CLOSED)
            continue;
        struct checkpoint_recipient *to = &row->recipients[row->recipient_count++];
        *to = (struct checkpoint_recipient){
            .index = from->index,
            .attempts = from->attempts,
            .state = (uint8_t)(from->state | (from->is_notified ? CHECKPOINT_NOTIFIED : 0)),
            .next_attempt_us = from->next_attempt_us};
        r = local_name(spool, names, from->domain, &to->domain);
    }
    return r;
}

static int fill_uses(const struct spool_message *message, struct arena *arena,
                     struct checkpoint_row *row)
{
    const struct spool_extents *bulk = index_bulk(message);

    if (!bulk)
        return 0;
    row->use_count = bulk->count;
    row->uses = arena_alloc_array(arena, row->use_count + 1, sizeof(*row->uses));
    if (!row->uses)
        return -ENOMEM;
    for (uint32_t i = 0; i < row->use_count; i++)
        row->uses[i] = (struct checkpoint_use){bulk->uses[i].segment->number, bulk->uses[i].bytes};
    return 0;
}

static int add_row(struct spool *spool, struct local_names *names,
                   const struct spool_message *message, struct arena *arena, struct buffer *out)
{
    struct checkpoint_row row = {.id = message->id,
                                 .flags = message->flags,
                                 .home = index_home(message) ? index_home(message)->number : 0,
                                 .offset = message->offset,
                                 .meta_bytes = message->meta_bytes,
                                 .size_bytes = message->size_bytes,
                                 .accepted_us = message->accepted_us,
                                 .sender = message->sender};
    int r = fill_recipients(spool, names, message, arena, &row);

    if (r == 0)
        r = fill_uses(message, arena, &row);
    if (r == 0)
        r = codec_encode(&checkpoint_row_codec, &row, out);
    arena_clear(arena);
    return r;
}

static void put_u32(struct buffer *b, size_t at, size_t value)
{
    uint32_t wire = htole32((uint32_t)value);
    memcpy(b->data + at, &wire, sizeof(wire));
}

/* A part is checkpoint_rows rows, so that the loop stands still for some milliseconds and no
 * longer. */
static int fill_part(struct spool *spool, struct checkpoint_work *work,
                     struct checkpoint_task *task)
{
    struct local_names names = {.bytes = &task->names};
    struct arena arena = ARENA_INIT;
    struct spool_message *message;
    size_t count = 0;
    int r;

    names.of = calloc(spool->index.domains.row_count + 1, sizeof(*names.of));
    if (!names.of)
        return -ENOMEM;
    buffer_append(&task->names, "\0\0\0\0\0\0\0\0", 8); /* length, count */
    r = buffer_append(&task->rows, "\0\0\0\0", 4);      /* count */
    while (r == 0 && count < spool->options.checkpoint_rows) {
        message = spool_listing_next(work->listing);
        if (!message) {
            work->listed_all = true;
            break;
        }
        r = add_row(spool, &names, message, &arena, &task->rows);
        count++;
    }
    if (r == 0)
        r = buffer_error(&task->names);
    if (r == 0) {
        put_u32(&task->names, 0, task->names.size - 4);
        put_u32(&task->names, 4, names.count);
        put_u32(&task->rows, 0, count);
    }
    arena_done(&arena);
    free(names.of);
    return r;
}

/* ---- The tasks ---- */

static void task_free(struct checkpoint_task *task)
{
    buffer_done(&task->names);
    buffer_done(&task->rows);
    free(task);
}

/* A manifest that couldn't be written may have been renamed nevertheless. */
static bool may_be_named(const struct checkpoint_task *task)
{
    void *data = NULL;
    size_t size = 0;
    int r = task->store->ops->get_file(task->store, checkpoint_manifest_name,
                                       CHECKPOINT_MANIFEST_MAX, &data, &size);
    bool is_another = r == 0 && !span_equal(span_of(data, size), buffer_span(&task->rows));

    free(data);
    return r != -ENOENT && !is_another;
}

/* The parts of one that failed, so that they don't take the room that outcomes need. */
static void remove_own(struct checkpoint_task *task)
{
    char own[CHECKPOINT_NAME_BYTES];

    checkpoint_parts_prefix(own, task->generation);
    if (!task->is_manifest || !may_be_named(task))
        task->store->ops->remove_files(task->store, own, NULL);
}

static void checkpoint_run(struct spool_task *task)
{
    struct checkpoint_task *c = CONTAINER_OF(task, struct checkpoint_task, task);
    struct iovec parts[] = {{c->names.data, c->names.size}, {c->rows.data, c->rows.size}};

    if (c->is_manifest)
        task->error = task->ops->put_file(c->store, c->name, parts + 1, 1);
    else
        task->error = task->ops->put_file(c->store, c->name, parts, 2);
    if (task->error)
        remove_own(c);
    else if (c->is_manifest)
        checkpoint_remove_others(c->store, c->generation);
}

/* The checksum of the part goes into the manifest, not into the part: so a manifest names exactly
 * these bytes. */
static int note_part(struct checkpoint_work *work, const struct checkpoint_task *task)
{
    struct checkpoint_manifest *m = &work->manifest;
    struct buffer whole = BUFFER_INIT;

    struct checkpoint_part *parts = reallocarray(m->parts, m->part_count + 1, sizeof(*parts));
    if (!parts)
        return -ENOMEM;
    m->parts = parts;
    buffer_append_span(&whole, buffer_span(&task->names));
    int r = buffer_append_span(&whole, buffer_span(&task->rows));
    if (r == 0)
        parts[m->part_count++] =
            (struct checkpoint_part){.bytes = whole.size, .sum = record_sum(buffer_span(&whole))};
    buffer_done(&whole);
    return r;
}

/* What wasn't worth compacting may be by now; but what is stuck would say the same again each time.
 */
static void allow_compaction(struct spool *spool)
{
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        bool is_stuck = !id_is_zero(&segment->stuck_on) && spool_find(spool, &segment->stuck_on);
        if (segment->pause)
            segment->pause--;
        else if (!is_stuck)
            segment->was_compacted = false;
    }
}

/* Mail goes on, but the log grows and the next start reads all of it. Once, until one succeeds. */
static void tell_failed(struct spool *spool, int error)
{
    if (spool->checkpoint_failed || error == 0 || error == -ENOMEM)
        return;
    spool->checkpoint_failed = true;
    append_alarm(spool, SPOOL_ALARM_FAILED, NULL, (struct spool_position){0}, "checkpoint: %s",
                 strerror(-error));
}

static void checkpoint_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct checkpoint_task *c = CONTAINER_OF(task, struct checkpoint_task, task);
    struct checkpoint_work *work = spool->checkpoint;
    bool failed = task->error != 0;

    if (!failed && !c->is_manifest)
        failed = note_part(work, c) < 0;
    if (!failed && c->is_manifest) {
        spool->checkpoint_position = work->manifest.position;
        spool->checkpoint_bytes = checkpoint_bytes(&work->manifest);
        spool->checkpoint_record_due = true;
        spool->checkpoint_failed = false;
        allow_compaction(spool);
    }
    tell_failed(spool, task->error);
    if (failed)
        spool->task_retry_us[TASK_CHECKPOINT] = now_us + SPOOL_PAUSES * spool->options.retry_us;
    /* After an error the manifest may be there nevertheless, and name a position from which the
     * next start replays. Only when there was none before: an older position keeps more. */
    if (failed && c->is_manifest && !spool->checkpoint_position.segment)
        spool->checkpoint_position = work->manifest.position;
    if (failed || c->is_manifest)
        checkpoint_close(spool);
    task_free(c);
}

static int fill_manifest(struct checkpoint_work *work, struct checkpoint_task *task)
{
    task->is_manifest = true;
    return checkpoint_encode_manifest(&work->manifest, &task->rows);
}

/* A slice fails for want of memory only; the whole is dropped then, and begun anew when it is due.
 */
struct spool_task *checkpoint_take(struct spool *spool)
{
    struct checkpoint_work *work = spool->checkpoint;

    if (!work && !is_due(spool))
        return NULL;
    if (!work)
        work = spool->checkpoint = begin(spool);
    struct checkpoint_task *task = work ? calloc(1, sizeof(*task)) : NULL;
    if (!task)
        return NULL;
    task_init(&task->task, spool, checkpoint_run, checkpoint_finish);
    task->store = spool->store;
    task->generation = work->manifest.generation;
    int r = work->listed_all ? fill_manifest(work, task) : fill_part(spool, work, task);
    if (r < 0) {
        task_free(task);
        checkpoint_close(spool);
        return NULL;
    }
    if (task->is_manifest)
        memcpy(task->name, checkpoint_manifest_name, strlen(checkpoint_manifest_name) + 1);
    else
        checkpoint_part_name(task->name, work->manifest.generation, work->manifest.part_count);
    return &task->task;
}

/* Of the durable one and of the one in the making: whichever the next start finds, the log behind
 * its position must be there. */
bool checkpoint_needs(const struct spool *spool, uint64_t segment)
{
    const struct spool_position *durable = &spool->checkpoint_position;

    if (durable->segment && segment >= durable->segment)
        return true;
    return spool->checkpoint && segment >= spool->checkpoint->manifest.position.segment;
}

/* ---- The record that says where it lies ---- */

bool checkpoint_has_record(const struct spool *spool)
{
    return spool->checkpoint_record_due;
}

void checkpoint_add_record(struct spool *spool, struct block *block)
{
    struct record_checkpoint record = {.generation = spool->checkpoint_generation,
                                       .position = spool->checkpoint_position};

    if (spool->checkpoint_record_due &&
        append_record(block, SPOOL_RECORD_CHECKPOINT, &record_checkpoint_codec, &record) == 0)
        spool->checkpoint_record_due = false;
}
