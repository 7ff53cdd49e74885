/*
 * A window over the segment, read in large pieces; records are looked at in place. Each record
 * names its length, so a good one leads to the next; behind a bad one every eighth byte is tried,
 * but for what was never written. A seal's end is rounded up to a block, where the next group
 * starts.
 */
#include "spool/scan.h"

#include <errno.h>

/* A window holds any but the largest records in one read; zeros are passed over a sector at a time.
 */
enum { WINDOW_BYTES = 256 * 1024, BLANK_BYTES = 512 };

void scan_init(struct scan *scan, const struct store_ops *ops, struct store_segment *handle,
               const struct record_place *place, uint32_t block_bytes, uint64_t start, uint64_t end,
               int flags)
{
    *scan = (struct scan){.ops = ops,
                          .handle = handle,
                          .place = *place,
                          .block_bytes = block_bytes,
                          .flags = flags,
                          .offset = start,
                          .end = end};
}

void scan_done(struct scan *scan)
{
    buffer_done(&scan->window);
}

/* Makes `size` bytes at `offset` (all before scan->end) available. NULL: scan->error says why. From
 * a block's start, as reading past the page cache wants it, and in pieces of 256 KiB. */
static const char *look(struct scan *scan, uint64_t offset, size_t size)
{
    uint64_t window_end = scan->window_offset + scan->window.size;
    int flags = scan->flags & SCAN_DIRECT ? STORE_READ_DIRECT : 0;

    if (offset >= scan->window_offset && offset + size <= window_end)
        return scan->window.data + (offset - scan->window_offset);
    uint64_t start = offset / scan->block_bytes * scan->block_bytes;
    uint64_t want = offset + size - start;
    if (want < WINDOW_BYTES)
        want = WINDOW_BYTES;
    if (want > scan->end - start)
        want = scan->end - start;
    buffer_clear(&scan->window);
    char *to = buffer_reserve(&scan->window, want);
    if (!to) {
        scan->error = -ENOMEM;
        return NULL;
    }
    ssize_t n = segment_read(scan->ops, scan->handle, start, to, want, flags);
    if (n == -ENOMEM || (n < 0 && !(scan->flags & SCAN_AROUND))) {
        scan->error = (int)n;
        return NULL;
    }
    if (n < 0)
        segment_read_around(scan->ops, scan->handle, scan->block_bytes, start, to, want, flags,
                            &scan->unread);
    else
        memset(to + n, 0, want - (size_t)n);
    scan->window.size = want;
    scan->window_offset = start;
    return to + (offset - start);
}

/* 1: a header, 0: none, <0: an error. A header whose record would reach behind the end counts as
 * none: the end is where the last sealed group ends, so nothing valid crosses it. */
static int header_at(struct scan *scan, uint64_t offset, struct record_header *out)
{
    if (offset > scan->end || scan->end - offset < RECORD_HEADER_BYTES)
        return 0;
    const char *at = look(scan, offset, RECORD_HEADER_BYTES);
    if (!at)
        return scan->error;
    int r = record_parse(at, &scan->place, offset, out);
    if (r == -EPROTONOSUPPORT)
        return r;
    if (r < 0 || record_bytes(out->meta_bytes, out->data_bytes) > scan->end - offset)
        return 0;
    return 1;
}

/* Without SCAN_DATA the body isn't even read: recovery steps over it. */
static int fill(struct scan *scan, struct scan_record *out)
{
    const struct record_header *h = &out->header;
    size_t size = h->meta_bytes + (scan->flags & SCAN_DATA ? (size_t)h->data_bytes : 0);

    const char *at = look(scan, out->offset + RECORD_HEADER_BYTES, size);
    if (!at)
        return scan->error;
    out->meta = span_of(at, h->meta_bytes);
    out->meta_is_damaged = record_sum(out->meta) != h->meta_sum;
    if (scan->flags & SCAN_DATA) {
        out->data = span_of(at + h->meta_bytes, h->data_bytes);
        out->data_is_damaged = record_sum(out->data) != h->data_sum;
    }
    out->next = out->offset + record_bytes(h->meta_bytes, h->data_bytes);
    if (h->type == SPOOL_RECORD_SEAL)
        out->next = segment_align(out->next, scan->block_bytes);
    scan->offset = out->next;
    return 1;
}

/* Most of a segment was never written. No header starts where all of its bytes are zero. */
static uint64_t skip_blank(const struct scan *scan, uint64_t offset)
{
    static const char blank[BLANK_BYTES + RECORD_HEADER_BYTES];
    uint64_t window_end = scan->window_offset + scan->window.size;

    while (offset >= scan->window_offset && offset + sizeof(blank) <= window_end &&
           memcmp(scan->window.data + (offset - scan->window_offset), blank, sizeof(blank)) == 0)
        offset += BLANK_BYTES;
    return offset;
}

/* Looks for the next record behind something that is none. Records lie at multiples of 8; that
 * another one's salt and place fit by chance is as likely as a collision of 64 bits. */
static int resync(struct scan *scan, struct scan_record *out)
{
    uint64_t offset = scan->offset;
    int r = 0;

    do
        offset = skip_blank(scan, offset + RECORD_ALIGN);
    while (offset < scan->end && (r = header_at(scan, offset, &out->header)) == 0);
    if (r <= 0)
        return r;
    out->offset = scan->offset;
    out->next = offset;
    out->is_damaged = true;
    scan->offset = offset;
    return 1;
}

int scan_next(struct scan *scan, struct scan_record *out)
{
    *out = (struct scan_record){.offset = scan->offset};
    if (scan->offset >= scan->end)
        return 0;
    if (scan->offset >= scan->unread.to)
        scan->unread = (struct segment_range){0};
    int r = header_at(scan, scan->offset, &out->header);
    if (r < 0)
        return r;
    r = r ? fill(scan, out) : resync(scan, out);
    out->is_unread = out->offset < scan->unread.to && out->next > scan->unread.from;
    return r;
}
