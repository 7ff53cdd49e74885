/* Seal by seal to the end of what counts; what is wrong on the way is held against each group. */
#include "spool/ends.h"

#include "spool/scan.h"
#include <errno.h>

/* What was seen since the last seal, to be held against what the next one says. */
struct group_check {
    uint64_t start, sum;
    uint32_t count;
    bool is_damaged;
    bool is_unread; /* of some nothing more is known than that they couldn't be read */
};

static bool scanned_well(const struct scan_record *record)
{
    return !record->is_damaged && !record->meta_is_damaged && !record->data_is_damaged;
}

/* What can't be read isn't known to be damaged: a group counts as sealed when that is all that is
 * wrong with it. What was refused may show up so, what was acknowledged may not go. */
static void note_bad(struct group_check *check, const struct scan_record *record)
{
    check->is_unread |= record->is_unread;
    check->is_damaged |= !record->is_unread;
}

static bool is_whole(const struct group_check *check, const struct record_seal *seal)
{
    return !check->is_damaged && seal->start == check->start &&
           (check->is_unread || (seal->count == check->count && seal->sum == check->sum));
}

static int decode_seal(const struct scan_record *record, struct record_seal *out)
{
    struct arena arena = ARENA_INIT;
    int r = codec_decode(&record_seal_codec, record->meta, &arena, out);
    arena_done(&arena);
    return r;
}

static void take_seal(struct seals *to, const struct segment *segment,
                      const struct scan_record *record, const struct record_seal *seal)
{
    *to = (struct seals){.last_seal = {segment->number, record->offset},
                         .last_sum = record->header.sum,
                         .sequence = seal->sequence,
                         .end = record->next};
}

/* Is the group of this seal whole? For the case that records before it were lost, so that the count
 * that ran along says nothing. 0, or what kept it from being known. */
static int look_at_group(const struct scan *outer, uint64_t seal_offset,
                         const struct record_seal *seal, bool *out_is_whole)
{
    struct group_check check = {.start = seal->start, .is_damaged = seal->start >= seal_offset};
    struct scan_record record;
    struct scan scan;
    int r = 0;

    scan_init(&scan, outer->ops, outer->handle, &outer->place, outer->block_bytes, seal->start,
              seal_offset, outer->flags);
    while (!check.is_damaged && (r = scan_next(&scan, &record)) > 0) {
        if (!scanned_well(&record))
            note_bad(&check, &record);
        check.sum = record_chain(check.sum, record.header.sum);
        check.count++;
    }
    /* At its end there is no header to find the way to. */
    bool ends_unread = scan.unread.from < seal_offset && scan.unread.to > scan.offset;
    check.is_unread |= ends_unread;
    check.is_damaged |= scan.offset != seal_offset && !ends_unread;
    scan_done(&scan);
    *out_is_whole = is_whole(&check, seal);
    return r < 0 ? r : 0;
}

/* A seal is good when all of its group is. A later seal vouches for an earlier one, because it was
 * written only after the sync of that one returned: then what is damaged there is damage at rest.
 * So each seal that is read makes the one before it good, and itself only if its own group is
 * whole. */
static int check_record(struct seals *good, struct seals *last, struct group_check *check,
                        const struct segment *segment, const struct scan *scan,
                        const struct scan_record *record)
{
    struct record_seal seal;
    int r = 0;

    if (scanned_well(record) && record->header.type != SPOOL_RECORD_SEAL) {
        check->sum = record_chain(check->sum, record->header.sum);
        check->count++;
        return 0;
    }
    if (scanned_well(record))
        r = decode_seal(record, &seal);
    if (!scanned_well(record) || r == -EBADMSG) {
        note_bad(check, record);
        return 0;
    }
    if (r < 0)
        return r;
    *good = *last; /* vouched for by this one */
    take_seal(last, segment, record, &seal);
    bool counts = is_whole(check, &seal);
    if (!counts)
        r = look_at_group(scan, record->offset, &seal, &counts);
    if (counts)
        *good = *last;
    *check = (struct group_check){.start = record->next};
    return r;
}

/* Reading goes on past damage: to end at the first bad byte would give up what was acknowledged
 * behind it. The last block is the trailer's; in a file that lost its end, records may lie up to
 * the last byte. */
int ends_find(const struct spool *spool, const struct segment *segment,
              const struct segment_header *header, struct seals *out, uint64_t *out_tail_end)
{
    uint32_t block_bytes = spool->options.block_bytes;
    struct record_place place = segment_place(segment);
    struct seals good = {.last_seal = header->previous_seal,
                         .last_sum = header->previous_sum,
                         .sequence = header->previous_sequence,
                         .end = segment_first_offset(block_bytes)};
    struct seals last = good;
    struct group_check check = {.start = good.end};
    struct scan_record record;
    struct scan scan;
    uint64_t limit = header->size_bytes - block_bytes, seen = 0;
    int r;

    if (limit > segment->size_bytes)
        limit = segment->size_bytes;
    scan_init(&scan, spool->ops, segment->handle, &place, block_bytes, good.end, limit,
              SCAN_DIRECT | SCAN_DATA | SCAN_AROUND);
    while ((r = scan_next(&scan, &record)) > 0) {
        r = check_record(&good, &last, &check, segment, &scan, &record);
        if (r < 0)
            break;
        seen = record.next;
    }
    /* The last group may lie there as a whole: it is a tail, and isn't written over. */
    if (scan.unread.to > seen)
        seen = scan.unread.to;
    scan_done(&scan);
    if (r < 0)
        return r;
    *out = good;
    *out_tail_end = seen > good.end ? seen : 0;
    return 0;
}
