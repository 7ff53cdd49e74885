/*
 * The scrubber: reads every closed segment past the page cache now and then, so that damage at rest
 * (rule 8) is found while there may still be a backup. A damaged message is set aside.
 */
#include "spool/compact.h"
#include "spool/scan.h"

#include <errno.h>
#include <stdlib.h>

struct scrub {
    struct spool_task task;
    struct segment *segment;
    uint32_t block_bytes;
    /* log: damaged messages, and records of which no message is known */
    struct compact_entries damaged;
    struct spool_position other;
    /* bulk: readers of the messages that have extents there */
    struct spool_reader **readers;
    size_t reader_count;
};

/* One after the other, with a pause: nobody waits for it. */
static void settle(struct spool *spool, struct scrub *scrub, int64_t now_us)
{
    scrub->segment->scrubbed_us = now_us;
    scrub->segment->pins--;
    spool->task_retry_us[TASK_SCRUB] = now_us + spool->options.retry_us;
}

/* ---- A log segment ---- */

static int note_damaged(struct scrub *scrub, const struct scan_record *record)
{
    struct arena arena = ARENA_INIT;
    struct record_message message;
    struct envelope envelope;
    int r = -EBADMSG;

    if (!record->is_damaged && !record->meta_is_damaged)
        r = record_decode_message(record->meta, record->header.version, &arena, &message,
                                  &envelope);
    if (r == 0) {
        struct compact_entry entry = {.id = envelope.id, .offset = record->offset};
        r = compact_add_entry(&scrub->damaged, &entry);
    } else if (r == -EBADMSG) {
        scrub->other = (struct spool_position){scrub->segment->number, record->offset};
        r = 0;
    }
    arena_done(&arena);
    return r;
}

static void scrub_log_run(struct spool_task *task)
{
    struct scrub *scrub = CONTAINER_OF(task, struct scrub, task);
    struct record_place place = segment_place(scrub->segment);
    struct scan_record record;
    struct scan scan;
    int r;

    scan_init(&scan, task->ops, scrub->segment->handle, &place, scrub->block_bytes,
              segment_first_offset(scrub->block_bytes), scrub->segment->end,
              SCAN_DIRECT | SCAN_DATA);
    while ((r = scan_next(&scan, &record)) > 0) {
        if (record.is_damaged || record.meta_is_damaged || record.data_is_damaged)
            r = note_damaged(scrub, &record);
        if (r < 0)
            break;
    }
    if (r == 0 && scan.offset < scan.end)
        scrub->other = (struct spool_position){scrub->segment->number, scan.offset};
    scan_done(&scan);
    task->error = r;
}

static void scrub_log_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct scrub *scrub = CONTAINER_OF(task, struct scrub, task);

    for (size_t i = 0; i < scrub->damaged.count; i++) {
        const struct compact_entry *entry = &scrub->damaged.rows[i];
        struct spool_message *m = spool_find(spool, &entry->id);
        if (m && index_home(m) == scrub->segment && m->offset == entry->offset)
            spool_set_message_aside(spool, m);
    }
    if (scrub->other.segment)
        spool_note_damage(spool, scrub->other, NULL, "the scrubber found damaged records");
    if (task->error == -EIO)
        spool_note_damage(spool, (struct spool_position){scrub->segment->number, 0}, NULL,
                          "the scrubber can't read a segment");
    settle(spool, scrub, now_us);
    free(scrub->damaged.rows);
    free(scrub);
}

/* ---- A bulk segment ---- */

/* Past the page cache: what the disk gives is the question. The reader remembers damage until it is
 * closed. */
static void scrub_extents(struct scrub *scrub, struct spool_reader *reader)
{
    const struct spool_stored *stored;
    char *bytes = NULL;

    if (spool_reader_load(reader, &stored) < 0)
        return;
    for (size_t i = 0; i < reader->meta.extent_count; i++) {
        const struct record_extent *e = &reader->meta.extents[i];
        if (e->segment != scrub->segment->number)
            continue;
        free(bytes);
        bytes = malloc(e->bytes + 1u);
        if (!bytes)
            break;
        reader->flags = STORE_READ_DIRECT;
        reader_read_verified(reader, scrub->segment, e->offset, bytes, e->bytes, e->sum);
    }
    free(bytes);
}

static void scrub_bulk_run(struct spool_task *task)
{
    struct scrub *scrub = CONTAINER_OF(task, struct scrub, task);
    for (size_t i = 0; i < scrub->reader_count; i++)
        scrub_extents(scrub, scrub->readers[i]);
}

/* Closing a reader sets its message aside when it found damage. */
static void scrub_bulk_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct scrub *scrub = CONTAINER_OF(task, struct scrub, task);

    for (size_t i = 0; i < scrub->reader_count; i++)
        spool_reader_close(spool, scrub->readers[i]);
    settle(spool, scrub, now_us);
    free(scrub->readers);
    free(scrub);
}

static int open_readers(struct spool *spool, struct scrub *scrub)
{
    struct compact_entries messages = {0};
    int r = bulk_copy_find(spool, scrub->segment, &messages);

    if (r == 0)
        scrub->readers = calloc(messages.count + 1, sizeof(struct spool_reader *));
    if (r == 0 && !scrub->readers)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < messages.count; i++) {
        struct spool_message *m = spool_find(spool, &messages.rows[i].id);
        if (m && spool_reader_open(spool, m, &scrub->readers[scrub->reader_count]) == 0)
            scrub->reader_count++;
    }
    free(messages.rows);
    return r;
}

/* ---- Which one ---- */

/* The closed segment that was read longest ago; new ones count from when they are first seen. */
static struct segment *find_due(struct spool *spool, int64_t *out_next_us)
{
    struct segment *due = NULL;

    *out_next_us = spool->now_us + spool->options.scrub_interval_us;
    for (int kind = 0; kind < 2; kind++) {
        LIST_EACH(&spool->segments[kind], link)
        {
            struct segment *segment = CONTAINER_OF(link, struct segment, link);
            if (segment->state != SEGMENT_CLOSED || segment->is_compacting)
                continue;
            if (!segment->scrubbed_us || segment->scrubbed_us > spool->now_us)
                segment->scrubbed_us = spool->now_us;
            if (!due || segment->scrubbed_us < due->scrubbed_us)
                due = segment;
        }
    }
    if (due && due->scrubbed_us + spool->options.scrub_interval_us > spool->now_us) {
        *out_next_us = due->scrubbed_us + spool->options.scrub_interval_us;
        due = NULL;
    }
    return due;
}

struct spool_task *scrub_take(struct spool *spool)
{
    int64_t next_us;
    struct segment *segment = spool->options.scrub_interval_us ? find_due(spool, &next_us) : NULL;

    if (!segment) {
        spool->task_retry_us[TASK_SCRUB] =
            spool->options.scrub_interval_us ? next_us : spool->task_retry_us[TASK_SCRUB];
        return NULL;
    }
    struct scrub *scrub = calloc(1, sizeof(*scrub));
    if (!scrub)
        return NULL;
    scrub->segment = segment;
    scrub->block_bytes = spool->options.block_bytes;
    if (segment->kind == STORE_LOG) {
        task_init(&scrub->task, spool, scrub_log_run, scrub_log_finish);
    } else {
        task_init(&scrub->task, spool, scrub_bulk_run, scrub_bulk_finish);
        if (open_readers(spool, scrub) < 0) {
            free(scrub->readers);
            free(scrub);
            return NULL;
        }
    }
    segment->pins++;
    return &scrub->task;
}
