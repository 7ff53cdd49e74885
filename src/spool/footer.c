/*
 * Entries of the footer are the records' headers and metas as they lie in the segment, with their
 * offsets: so each still has the checksum that ties it to its place, and a footer can't say what no
 * record said. Events and seals are left out, since the state doesn't need them.
 *
 * The order of writing doesn't matter: footer and trailer become durable with one sync, and without
 * either, or with half of it, recovery reads the records.
 */
#include "spool/footer.h"

#include "spool/lane.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* A footer lies behind the records of a segment of at most 1 GiB, and has a sixteenth of it kept
 * free (group.c); a larger one is damage, and not allocated. */
enum { OFFSET_BYTES = 8, FOOTER_BYTES_MAX = 64 << 20 };

/* ---- Writing ---- */

static bool is_state(uint8_t type)
{
    return type == SPOOL_RECORD_MESSAGE || type == SPOOL_RECORD_EXPAND ||
           type == SPOOL_RECORD_STATUS || type == SPOOL_RECORD_MOVED;
}

/* An entry: u64 offset, the record's header as it is on disk, its meta. The header is read as it
 * lies on disk rather than built anew: its checksum is what makes the entry trustworthy. */
static int add_entry(struct buffer *out, const struct scan *scan, const struct scan_record *record)
{
    uint64_t offset = htole64(record->offset);
    char head[RECORD_HEADER_BYTES];
    ssize_t n = segment_read(scan->ops, scan->handle, record->offset, head, sizeof(head), 0);

    if (n != (ssize_t)sizeof(head))
        return n < 0 ? (int)n : -EIO;
    buffer_append(out, &offset, sizeof(offset));
    buffer_append(out, head, sizeof(head));
    buffer_append_span(out, record->meta);
    return buffer_error(out);
}

/* 0 with an empty buffer when there can't be one. */
static int collect(struct scan *scan, struct buffer *out)
{
    struct scan_record record;
    int r;

    while ((r = scan_next(scan, &record)) > 0) {
        if (record.is_damaged || record.meta_is_damaged) {
            buffer_clear(out);
            return 0;
        }
        if (is_state(record.header.type))
            r = add_entry(out, scan, &record);
        if (r < 0)
            break;
    }
    if (r < 0 || scan->offset < scan->end)
        buffer_clear(out);
    return r == -EMSGSIZE ? 0 : r;
}

/* Without memory or room for a footer there is just a trailer. A failed read of a record costs only
 * the footer; a failed write is rule 6. */
int footer_write(const struct store_ops *ops, struct store_segment *handle,
                 const struct record_place *place, uint32_t block_bytes, uint64_t size_bytes,
                 uint64_t end)
{
    struct segment_trailer trailer = {.number = place->segment, .end = end};
    uint64_t trailer_offset = size_bytes - block_bytes;
    struct buffer footer = BUFFER_LIMITED(trailer_offset - end);
    struct scan scan;
    int r = 0;

    memcpy(trailer.salt, place->salt, sizeof(trailer.salt));
    scan_init(&scan, ops, handle, place, block_bytes, segment_first_offset(block_bytes), end, 0);
    if (trailer_offset > end)
        collect(&scan, &footer);
    scan_done(&scan);
    if (footer.size) {
        struct iovec part = {footer.data, footer.size};
        trailer.footer_offset = end;
        trailer.footer_bytes = footer.size;
        trailer.footer_sum = record_sum(buffer_span(&footer));
        r = ops->write(handle, end, &part, 1);
    }
    buffer_done(&footer);
    char *block = r == 0 ? calloc(1, block_bytes) : NULL;
    if (r == 0 && !block)
        return -ENOMEM;
    if (r == 0) {
        struct iovec part = {block, block_bytes};
        segment_encode_trailer(&trailer, block);
        r = ops->write(handle, trailer_offset, &part, 1);
    }
    free(block);
    return r < 0 ? r : ops->sync(handle);
}

/* ---- Reading ---- */

int footer_open(struct footer *footer, const struct store_ops *ops, struct store_segment *handle,
                const struct record_place *place, const struct segment_trailer *trailer)
{
    if (trailer->footer_bytes == 0 || trailer->footer_bytes > FOOTER_BYTES_MAX)
        return -ENOENT;
    char *bytes = malloc(trailer->footer_bytes);
    if (!bytes)
        return -ENOMEM;
    ssize_t n = segment_read(ops, handle, trailer->footer_offset, bytes, trailer->footer_bytes, 0);
    if (n != (ssize_t)trailer->footer_bytes ||
        record_sum(span_of(bytes, trailer->footer_bytes)) != trailer->footer_sum) {
        free(bytes);
        return -ENOENT;
    }
    *footer = (struct footer){.bytes = bytes, .size = trailer->footer_bytes, .place = *place};
    return 0;
}

int footer_next(struct footer *footer, struct scan_record *out)
{
    struct span rest = span_from(span_of(footer->bytes, footer->size), footer->at);
    uint64_t offset;

    if (rest.size == 0)
        return 0;
    if (!rest.data || rest.size < OFFSET_BYTES + RECORD_HEADER_BYTES)
        return -EBADMSG;
    memcpy(&offset, rest.data, sizeof(offset));
    *out = (struct scan_record){.offset = le64toh(offset)};
    if (record_parse(rest.data + OFFSET_BYTES, &footer->place, out->offset, &out->header) < 0)
        return -EBADMSG;
    rest = span_from(rest, OFFSET_BYTES + RECORD_HEADER_BYTES);
    if (rest.size < out->header.meta_bytes)
        return -EBADMSG;
    out->meta = span_first(rest, out->header.meta_bytes);
    if (record_sum(out->meta) != out->header.meta_sum)
        return -EBADMSG;
    out->next = out->offset + record_bytes(out->header.meta_bytes, out->header.data_bytes);
    footer->at += OFFSET_BYTES + RECORD_HEADER_BYTES + out->header.meta_bytes;
    return 1;
}

void footer_close(struct footer *footer)
{
    free(footer->bytes);
    *footer = (struct footer){0};
}

/* ---- The task: each closed segment gets its footer and trailer once ---- */

struct close_task {
    struct spool_task task;
    struct segment *segment;
    uint32_t block_bytes;
};

static void close_run(struct spool_task *task)
{
    struct close_task *close = CONTAINER_OF(task, struct close_task, task);
    struct record_place place = segment_place(close->segment);

    task->error = footer_write(task->ops, close->segment->handle, &place, close->block_bytes,
                               close->segment->size_bytes, close->segment->end);
}

static void close_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct close_task *close = CONTAINER_OF(task, struct close_task, task);
    struct segment *segment = close->segment;

    (void)now_us;
    segment->pins--;
    if (task->error == 0) {
        segment->has_trailer = true;
        /* Rule 6: it may have been written to. Compaction moves what lives in it. */
    } else if (task->error != -ENOMEM) {
        segment_set_state(segment, SEGMENT_FAILED);
        append_alarm(spool, SPOOL_ALARM_FAILED, NULL,
                     (struct spool_position){segment->number, segment->end}, "closing: %s",
                     strerror(-task->error));
    }
    free(close);
}

/* Not while it is being emptied: it would be written for nothing. */
struct spool_task *close_take(struct spool *spool)
{
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (segment->state != SEGMENT_CLOSED || segment->has_trailer || segment->is_compacting ||
            segment->keeps_tail)
            continue;
        struct close_task *close = calloc(1, sizeof(*close));
        if (!close)
            return NULL;
        task_init(&close->task, spool, close_run, close_finish);
        close->segment = segment;
        close->block_bytes = spool->options.block_bytes;
        segment->pins++;
        return &close->task;
    }
    return NULL;
}
