/*
 * Bulk: bodies that are too large to be inline. An upload fills a buffer of one extent; a full one
 * is queued. The bulk task gives queued extents their places, writes and syncs them, while groups
 * go on beside it. A MESSAGE that refers to an upload joins the pending blocks only when all its
 * extents are on disk, so no group waits for a large body, and none refers to what isn't durable.
 *
 * An upload pins the segments of its extents; once its message refers to them that counts instead.
 *
 *   FILLING ──spool_accept()──▶ ACCEPTED ──all extents on disk──▶ the MESSAGE is pending, it is
 * gone │                           │ │                           └──a write failed, none is in
 * flight: the MESSAGE fails──┐ └──spool_upload_free()──▶ ABORTED
 * ◀──────────────────────────────────────────────────┘ └──none of its writes is in flight──▶ gone
 *
 * A write in flight has its data and its upload in another thread's hands: so an upload that nobody
 * wants any more lives until the last one is back.
 */
#include "spool/lane.h"
#include "spool/mutant.h"

#include "base/grow.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Extents of one task, 8 MiB by default: none of them counts before the last is synced. */
enum { BATCH_WRITES = 32 };

/* An extent that is being filled or waits to be written. */
struct bulk_write {
    struct list link;
    struct spool_upload *upload;
    size_t extent; /* index in the upload */
    size_t size;
    struct recent_extent *memory;
};

/* Somebody who is told when the disk is as far as this. */
struct credit {
    struct list link;
    spool_done_fn *done;
    void *arg;
    size_t after; /* extents on disk */
};

enum upload_state {
    UPLOAD_FILLING,  /* the caller's */
    UPLOAD_ACCEPTED, /* the spool's: its MESSAGE waits for it */
    UPLOAD_ABORTED,  /* only a write in flight keeps it */
};

struct spool_upload {
    struct list link;
    struct spool *spool;
    enum upload_state state;
    int error;
    uint64_t size;
    struct bulk_write *filling;
    struct record_extent *extents;
    size_t extent_count, extent_capacity;
    size_t written; /* extents on disk */
    size_t in_flight;
    struct list credits;
    struct block *block; /* with the MESSAGE */
    struct spool_extents *uses;
};

int spool_upload_new(struct spool *spool, struct spool_upload **out)
{
    struct spool_upload *upload = calloc(1, sizeof(*upload));
    if (!upload)
        return -ENOMEM;
    upload->spool = spool;
    list_init(&upload->credits);
    list_append(&spool->uploads, &upload->link);
    *out = upload;
    return 0;
}

uint64_t spool_upload_size(const struct spool_upload *upload)
{
    return upload->size;
}

/* ---- Filling ---- */

static struct bulk_write *write_new(struct spool_upload *upload)
{
    struct bulk_write *write = malloc(sizeof(*write));
    struct recent_extent *memory = write ? recent_take(&upload->spool->recent) : NULL;

    if (!memory) {
        free(write);
        return NULL;
    }
    *write =
        (struct bulk_write){.upload = upload, .extent = upload->extent_count, .memory = memory};
    return write;
}

/* Its place is {0, 0} until a task gives it one: segments are numbered from 1, so destroy() knows
 * which extents hold a pin. */
static int new_extent(struct spool_upload *upload)
{
    struct record_extent *extents = grow_by_one(upload->extents, upload->extent_count,
                                                &upload->extent_capacity, sizeof(*extents), 8);
    if (!extents)
        return -ENOMEM;
    upload->extents = extents;
    upload->filling = write_new(upload);
    if (!upload->filling)
        return -ENOMEM;
    upload->extents[upload->extent_count++] = (struct record_extent){0};
    return 0;
}

static size_t written_bytes(const struct spool *spool, const struct bulk_write *write)
{
    return segment_align(write->size, spool->options.block_bytes);
}

static void queue_filled(struct spool_upload *upload)
{
    struct bulk_write *write = upload->filling;
    struct record_extent *extent = &upload->extents[write->extent];

    extent->bytes = (uint32_t)write->size;
    extent->sum = record_sum(span_of(write->memory->data, write->size));
    /* Whole blocks are written: what lies behind the extent is zeros. The sum covers the extent
     * only. */
    memset(write->memory->data + write->size, 0, written_bytes(upload->spool, write) - write->size);
    list_append(&upload->spool->bulk_writes, &write->link);
    upload->filling = NULL;
    upload->spool->tasks_due = true;
}

static int fill(struct spool_upload *upload, struct span *bytes)
{
    uint32_t limit = upload->spool->options.extent_bytes;
    int r = upload->filling ? 0 : new_extent(upload);

    if (r < 0)
        return r;
    struct bulk_write *write = upload->filling;
    size_t n = bytes->size < limit - write->size ? bytes->size : limit - write->size;
    memcpy(write->memory->data + write->size, bytes->data, n);
    write->size += n;
    upload->size += n;
    upload->spool->bulk_pending_bytes += n;
    *bytes = span_from(*bytes, n);
    if (write->size == limit)
        queue_filled(upload);
    return 0;
}

/* Extents that are full, whether on disk or not. */
static size_t queued(const struct spool_upload *upload)
{
    return upload->extent_count - (upload->filling ? 1 : 0);
}

/* More may come before all is on disk, so that the disk never waits for it. `done` may be called
 * before this returns; then the sender has the whole of `ahead_bytes` before him. */
static int give_credit(struct spool_upload *upload, spool_done_fn *done, void *arg)
{
    const struct spool_options *o = &upload->spool->options;
    size_t ahead = o->ahead_bytes / o->extent_bytes;

    if (!done)
        return 0;
    if (upload->written + ahead >= queued(upload)) {
        done(arg, 0);
        return 0;
    }
    struct credit *credit = malloc(sizeof(*credit));
    if (!credit)
        return -ENOMEM;
    *credit = (struct credit){.done = done, .arg = arg, .after = queued(upload) - ahead};
    list_append(&upload->credits, &credit->link);
    return 0;
}

/* Many uploads that have begun an extent each and send no more would keep all others out for ever:
 * when nothing else will make room, their beginnings go to the disk. */
static void make_room(struct spool *spool)
{
    if (!list_is_empty(&spool->bulk_writes) || spool->task_in_flight[TASK_BULK])
        return;
    LIST_EACH(&spool->uploads, link)
    {
        struct spool_upload *upload = CONTAINER_OF(link, struct spool_upload, link);
        if (upload->filling && upload->filling->size >= spool->options.block_bytes)
            queue_filled(upload);
    }
}

/* All or nothing as to -EAGAIN: a piece of which a part was taken couldn't be given again. */
int spool_upload_append(struct spool_upload *upload, struct span bytes, spool_done_fn *done,
                        void *arg)
{
    int r = 0;

    if (upload->error)
        return upload->error;
    if (upload->spool->bulk_pending_bytes > upload->spool->options.upload_bytes) {
        make_room(upload->spool);
        return -EAGAIN;
    }
    while (r == 0 && bytes.size)
        r = fill(upload, &bytes);
    if (r == 0)
        r = give_credit(upload, done, arg);
    if (r < 0)
        upload->error = r; /* a part may be in: only an abort makes sense */
    return r;
}

/* ---- The end of an upload ---- */

static void fail_credits(struct spool_upload *upload, int error)
{
    struct list *link;
    while ((link = list_take_first(&upload->credits)) != NULL) {
        struct credit *credit = CONTAINER_OF(link, struct credit, link);
        credit->done(credit->arg, error);
        free(credit);
    }
}

/* By number, not by pointer: a segment that is pinned can't go, but an extent may have none yet. */
static void unpin_extents(struct spool_upload *upload)
{
    for (size_t i = 0; i < upload->extent_count; i++) {
        struct segment *segment =
            upload->extents[i].segment
                ? spool_segment(upload->spool, STORE_BULK, upload->extents[i].segment)
                : NULL;
        if (segment)
            segment->pins--;
    }
}

static void destroy(struct spool_upload *upload)
{
    if (SPOOL_MUTANT != MUTANT_ABORT_UNPINS || upload->state != UPLOAD_ABORTED)
        unpin_extents(upload);
    list_remove(&upload->link);
    free(upload->extents);
    free(upload->uses);
    free(upload);
}

static void drop_write(struct spool *spool, struct bulk_write *write)
{
    spool->bulk_pending_bytes -= write->size;
    list_remove(&write->link);
    recent_drop(&spool->recent, write->memory);
    free(write);
}

void spool_upload_free(struct spool_upload *upload)
{
    if (!upload)
        return;
    struct spool *spool = upload->spool;
    upload->state = UPLOAD_ABORTED;
    if (upload->filling)
        drop_write(spool, upload->filling);
    upload->filling = NULL;
    LIST_EACH(&spool->bulk_writes, link)
    {
        struct bulk_write *write = CONTAINER_OF(link, struct bulk_write, link);
        if (write->upload == upload)
            drop_write(spool, write);
    }
    fail_credits(upload, -ECANCELED);
    if (SPOOL_MUTANT == MUTANT_ABORT_UNPINS)
        unpin_extents(upload);
    if (upload->in_flight == 0)
        destroy(upload);
    spool->tasks_due = true;
}

int bulk_seal_upload(struct spool_upload *upload, struct record_extent **out_extents,
                     size_t *out_count)
{
    size_t count = upload->extent_count;

    if (upload->error)
        return upload->error;
    /* Anew each time: the upload may have grown since an acceptance that failed. */
    free(upload->uses);
    upload->uses = calloc(1, sizeof(*upload->uses) + count * sizeof(upload->uses->uses[0]));
    if (!upload->uses)
        return -ENOMEM;
    if (upload->filling)
        queue_filled(upload);
    *out_extents = upload->extents;
    *out_count = count;
    return 0;
}

/* The block was made for this MESSAGE alone (append.c), so its first unit is the one. */
static struct unit *held_unit(const struct spool_upload *upload)
{
    return CONTAINER_OF(upload->block->units.next, struct unit, link);
}

/* The unit first: its completion tells the client. What it refers to is freed behind it. */
static void fail_accepted(struct spool_upload *upload, int error)
{
    struct spool *spool = upload->spool;
    struct block *block = upload->block;

    append_fail_unit(spool, held_unit(upload), error);
    append_block_free(spool, block);
    spool_upload_free(upload);
}

/* All extents are on disk: the MESSAGE may go. The places are patched into a record that was
 * encoded with as many; rule 1's order is kept, for its group is written after the extents' sync
 * has returned. */
static void release(struct spool_upload *upload)
{
    struct spool *spool = upload->spool;
    struct unit *unit = held_unit(upload);

    record_patch_extents(upload->block->data + unit->offset + RECORD_HEADER_BYTES, upload->extents,
                         upload->extent_count);
    for (size_t i = 0; i < upload->extent_count; i++)
        index_count_use(upload->uses, spool_segment(spool, STORE_BULK, upload->extents[i].segment),
                        upload->extents[i].bytes, spool->options.block_bytes);
    if (upload->uses->count) {
        index_set_extents(unit->message, upload->uses);
        upload->uses = NULL;
    }
    list_append(&spool->blocks, &upload->block->link);
    spool->pending_bytes += upload->block->used;
    destroy(upload);
}

/* Called after each change of an upload; may free it. */
static void settle(struct spool_upload *upload)
{
    if (upload->state == UPLOAD_ABORTED) {
        if (upload->in_flight == 0)
            destroy(upload);
    } else if (upload->state == UPLOAD_ACCEPTED) {
        if (upload->error && upload->in_flight == 0)
            fail_accepted(upload, upload->error);
        else if (!upload->error && upload->written == upload->extent_count)
            release(upload);
    }
}

void bulk_hold_accept(struct spool_upload *upload, struct block *block)
{
    upload->state = UPLOAD_ACCEPTED;
    upload->block = block;
    settle(upload);
}

/* No task is in flight by spool_close()'s contract: what still counts as such will never be
 * finished. */
void bulk_close(struct spool *spool)
{
    while (!list_is_empty(&spool->uploads)) {
        struct spool_upload *upload = CONTAINER_OF(spool->uploads.next, struct spool_upload, link);
        upload->in_flight = 0;
        if (upload->state == UPLOAD_ACCEPTED)
            fail_accepted(upload, -ECANCELED);
        else
            spool_upload_free(upload);
    }
}

/* ---- The task ---- */

struct bulk_task {
    struct spool_task task;
    struct bulk_write *writes[BATCH_WRITES];
    struct segment *segments[BATCH_WRITES];
    uint64_t offsets[BATCH_WRITES];
    struct iovec parts[BATCH_WRITES];
    size_t count;
};

static bool is_next_to_the_last(const struct bulk_task *bulk, size_t i)
{
    return bulk->segments[i] == bulk->segments[i - 1] &&
           bulk->offsets[i] == bulk->offsets[i - 1] + bulk->parts[i - 1].iov_len;
}

/* Neighbours go out in one write, and each segment is synced once: the batch is in order of place.
 * All writes before the first sync, so that the disk can take them in one go. The first error ends
 * it: which extents are on disk is unknown then, and none of them counts (rule 6). */
static void bulk_run(struct spool_task *task)
{
    struct bulk_task *bulk = CONTAINER_OF(task, struct bulk_task, task);

    for (size_t from = 0, to; task->error == 0 && from < bulk->count; from = to) {
        for (to = from + 1; to < bulk->count && is_next_to_the_last(bulk, to);)
            to++;
        task->error = task->ops->write(bulk->segments[from]->handle, bulk->offsets[from],
                                       &bulk->parts[from], (int)(to - from));
    }
    for (size_t i = 0; task->error == 0 && i < bulk->count; i++) {
        if (i + 1 == bulk->count || bulk->segments[i + 1] != bulk->segments[i])
            task->error = task->ops->sync(bulk->segments[i]->handle);
    }
}

/* Rule 6, as for the log: never written or synced again; compaction moves what lives in it. */
void bulk_abandon(struct spool *spool, struct segment *segment, int error)
{
    if (segment->state == SEGMENT_FAILED)
        return;
    segment_set_state(segment, SEGMENT_FAILED);
    for (int writer = 0; writer < BULK_WRITERS; writer++)
        if (spool->bulk_open[writer] == segment)
            spool->bulk_open[writer] = NULL;
    append_alarm(spool, SPOOL_ALARM_FAILED, NULL,
                 (struct spool_position){segment->number, segment->end}, "bulk write or sync: %s",
                 strerror(-error));
}

static void pay_credits(struct spool_upload *upload)
{
    while (!list_is_empty(&upload->credits)) {
        struct credit *credit = CONTAINER_OF(upload->credits.next, struct credit, link);
        if (credit->after > upload->written)
            return;
        list_remove(&credit->link);
        credit->done(credit->arg, 0);
        free(credit);
    }
}

static void fail_upload(struct spool_upload *upload, int error)
{
    upload->error = error;
    fail_credits(upload, error);
}

static void finish_write(struct spool *spool, struct bulk_write *write, int error)
{
    struct spool_upload *upload = write->upload;
    const struct record_extent *extent = &upload->extents[write->extent];

    if (!error) {
        recent_keep(&spool->recent, write->memory, extent->segment, extent->offset, extent->bytes);
        write->memory = NULL;
    }
    drop_write(spool, write);
    upload->written += !error;
    /* A credit's receiver may abort the upload: what is in flight keeps it until here. */
    if (error && !upload->error)
        fail_upload(upload, error);
    else
        pay_credits(upload);
    upload->in_flight--;
    settle(upload);
}

/* `in_flight` holds the upload meanwhile: whoever is told of the error may free it. */
void bulk_fail_waiting(struct spool *spool, int error)
{
    struct list *link;

    while ((link = list_take_first(&spool->bulk_writes)) != NULL) {
        struct bulk_write *write = CONTAINER_OF(link, struct bulk_write, link);
        struct spool_upload *upload = write->upload;
        drop_write(spool, write);
        upload->in_flight++;
        if (!upload->error)
            fail_upload(upload, error);
        upload->in_flight--;
        settle(upload);
    }
}

/* All segments of the batch are abandoned before anybody is told: a receiver may go on at once, and
 * must not get room in one of them. */
static void bulk_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct bulk_task *bulk = CONTAINER_OF(task, struct bulk_task, task);

    (void)now_us;
    for (size_t i = 0; i < bulk->count; i++) {
        assert(bulk->segments[i]->pins); /* also when nobody wants the extent any more */
        if (task->error)
            bulk_abandon(spool, bulk->segments[i], task->error);
    }
    for (size_t i = 0; i < bulk->count; i++)
        finish_write(spool, bulk->writes[i], task->error);
    free(bulk);
}

static struct segment *empty_segment(const struct spool *spool)
{
    LIST_EACH(&spool->segments[STORE_BULK], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (segment->state == SEGMENT_SPARE)
            return segment;
    }
    return NULL;
}

static bool has_room(const struct segment *segment, size_t bytes)
{
    return segment && bytes <= segment->size_bytes - segment->end;
}

static enum bulk_writer other_than(enum bulk_writer writer)
{
    return writer == BULK_UPLOADS ? BULK_COPIES : BULK_UPLOADS;
}

/* The other's, while it has no task in flight: so seldom are two segments open. NULL: none. A copy
 * that waits for room has places there that are still to be written. */
static struct segment *idle_segment(const struct spool *spool, enum bulk_writer writer)
{
    static const enum task_kind tasks[BULK_WRITERS] = {
        [BULK_UPLOADS] = TASK_BULK, [BULK_COPIES] = TASK_COMPACT};
    enum bulk_writer other = other_than(writer);
    bool is_busy =
        spool->task_in_flight[tasks[other]] || (other == BULK_COPIES && spool->bulk_wanted);

    return is_busy && SPOOL_MUTANT != MUTANT_SEGMENT_SHARED ? NULL : spool->bulk_open[other];
}

/* The rest of a segment that is too small for an extent is left: it counts as dead and goes with
 * compaction. */
static struct segment *open_another(struct spool *spool, enum bulk_writer writer, size_t bytes)
{
    struct segment *next = idle_segment(spool, writer);

    if (has_room(next, bytes)) {
        spool->bulk_open[other_than(writer)] = NULL;
    } else {
        next = empty_segment(spool);
        if (!has_room(next, bytes))
            return NULL;
        segment_set_state(next, SEGMENT_OPEN);
    }
    if (spool->bulk_open[writer])
        segment_set_state(spool->bulk_open[writer], SEGMENT_CLOSED);
    return spool->bulk_open[writer] = next;
}

int bulk_allocate(struct spool *spool, enum bulk_writer writer, size_t bytes,
                  struct segment **out_segment, uint64_t *out_offset)
{
    struct segment *segment = spool->bulk_open[writer];

    if (!has_room(segment, bytes))
        segment = open_another(spool, writer, bytes);
    if (!segment)
        return -EAGAIN;
    *out_segment = segment;
    *out_offset = segment->end;
    segment->end = segment_align(segment->end + bytes, spool->options.block_bytes);
    segment->pins++;
    return 0;
}

/* The extent's place is known from here on, though not yet its bytes: release() waits for
 * `written`. */
static int place(struct spool *spool, struct bulk_write *write, struct segment **out_segment,
                 uint64_t *out_offset)
{
    int r = bulk_allocate(spool, BULK_UPLOADS, write->size, out_segment, out_offset);
    if (r < 0)
        return r;
    struct record_extent *extent = &write->upload->extents[write->extent];
    extent->segment = (*out_segment)->number;
    extent->offset = *out_offset;
    return 0;
}

static size_t first_wanted(const struct spool *spool, enum bulk_writer writer)
{
    if (writer == BULK_COPIES)
        return spool->bulk_wanted;
    return list_is_empty(&spool->bulk_writes)
               ? 0
               : CONTAINER_OF(spool->bulk_writes.next, struct bulk_write, link)->size;
}

bool bulk_needs_segment(const struct spool *spool, enum bulk_writer writer)
{
    size_t bytes = first_wanted(spool, writer);

    return bytes && !has_room(spool->bulk_open[writer], bytes) &&
           !has_room(idle_segment(spool, writer), bytes) && !empty_segment(spool);
}

/* Large mail is coming and has half filled its segment: the next one is made meanwhile. Not of the
 * last space. Four segments above the reserve: large mail must not be what brings the server to the
 * point where it defers mail. */
bool bulk_wants_spare(const struct spool *spool)
{
    const struct segment *open = spool->bulk_open[BULK_UPLOADS];
    uint64_t wanted = spool->options.reserve_bytes + 4 * spool->options.bulk_segment_bytes;

    return open && spool->bulk_pending_bytes && open->end > open->size_bytes / 2 &&
           spool->space.free_bytes > wanted && !empty_segment(spool);
}

struct spool_task *bulk_take(struct spool *spool)
{
    struct bulk_task *bulk;

    if (list_is_empty(&spool->bulk_writes) || bulk_needs_segment(spool, BULK_UPLOADS))
        return NULL;
    bulk = calloc(1, sizeof(*bulk));
    if (!bulk)
        return NULL;
    task_init(&bulk->task, spool, bulk_run, bulk_finish);
    LIST_EACH(&spool->bulk_writes, link)
    {
        struct bulk_write *write = CONTAINER_OF(link, struct bulk_write, link);
        size_t i = bulk->count;
        if (i == BATCH_WRITES || place(spool, write, &bulk->segments[i], &bulk->offsets[i]) < 0)
            break;
        list_remove(link);
        bulk->parts[i] = (struct iovec){write->memory->data, written_bytes(spool, write)};
        bulk->writes[bulk->count++] = write;
        write->upload->in_flight++;
    }
    /* Not empty: bulk_needs_segment() has seen room for the first one. */
    return &bulk->task;
}
