/*
 * The follower walks the chain of segments from its position to the limit. Which segment comes next
 * only a later header can say, so it looks from the limit's segment back; numbers between two links
 * belong to spares and to segments that were passed over. Where a segment ends its successor says,
 * or its trailer, or (for the newest) the limit.
 *
 * Segments are renamed and removed by the spool at any time, but only what the book has folded: so
 * what vanishes under the follower is behind it, unless somebody else took files away. That is a
 * GAP. A book that begins anew finds that segments before or between those that are left went long
 * ago: they are GONE.
 */
#include "spool/follow.h"

#include "base/grow.h"
#include "spool/mutant.h"
#include "spool/scan.h"
#include <errno.h>
#include <stdlib.h>

struct spool_follower {
    struct store *store;
    struct spool_position position, limit;
    uint32_t block_bytes;
    int scan_flags; /* enum scan_flags */

    struct store_segment *handle; /* of position.segment; NULL: find it first */
    bool ends_at_limit;           /* the limit lies in this segment */
    uint64_t successor; /* else: the segment that comes after it, of those there are … */
    bool is_next;       /* … and also came next in the log … */
    uint64_t told_end;  /* … and where that one says this one ended; 0: it doesn't */
    int64_t created_us; /* when this one was begun */
    struct scan scan;

    struct arena arena; /* what the last record was decoded into */
    struct record_message message;
    struct envelope envelope;
    struct record_expand expand;
    struct record_status status;
    struct record_event event;
    struct spool_alarm alarm;
    struct record_seal seal;
};

/* What is known of a segment that the chain leads through. */
struct link_found {
    uint64_t number;
    struct segment_header header;
};

struct numbers {
    uint64_t *list;
    size_t count, capacity;
    uint32_t block_bytes;
    int error;
};

int spool_follower_new(struct store *store, struct spool_position from, struct spool_follower **out)
{
    struct spool_follower *f = calloc(1, sizeof(*f));
    int r = f ? store->ops->open_lane(store, true) : -ENOMEM;

    if (r < 0) {
        free(f);
        store->ops->close(store);
        return r;
    }
    f->store = store;
    f->position = f->limit = from;
    *out = f;
    return 0;
}

static void close_segment(struct spool_follower *f)
{
    if (!f->handle)
        return;
    scan_done(&f->scan);
    f->store->ops->close_segment(f->handle);
    f->handle = NULL;
}

void spool_follower_free(struct spool_follower *f)
{
    if (!f)
        return;
    close_segment(f);
    arena_done(&f->arena);
    f->store->ops->close(f->store);
    free(f);
}

/* The limit's segment ends at the limit only as long as it is the newest. When a newer one has
 * begun, its header says where this one ended, and that may be before what the disk shows. */
void spool_follower_set_limit(struct spool_follower *f, struct spool_position limit)
{
    if (spool_position_compare(limit, f->limit) <= 0)
        return;
    f->limit = limit;
    if (!f->handle || !f->ends_at_limit)
        return;
    if (limit.segment == f->position.segment)
        f->scan.end = limit.offset;
    else
        close_segment(f); /* its end is another one now: look again */
}

void spool_follower_read_around(struct spool_follower *f, bool on)
{
    f->scan_flags = f->scan.flags = on ? SCAN_AROUND : 0;
}

/* ---- The chain of segments ---- */

static void found_one(void *arg, const struct store_entry *entry)
{
    struct numbers *numbers = arg;

    if (entry->kind != STORE_LOG)
        return;
    uint64_t *list =
        grow_by_one(numbers->list, numbers->count, &numbers->capacity, sizeof(*list), 64);
    if (!list) {
        numbers->error = -ENOMEM;
        return;
    }
    numbers->list = list;
    numbers->list[numbers->count++] = entry->number;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Listed anew for each segment: the spool renames them meanwhile. */
static int list_numbers(struct spool_follower *f, struct numbers *out)
{
    int r = f->store->ops->list(f->store, found_one, out);
    if (r == 0)
        r = out->error;
    if (r == 0 && out->count)
        qsort(out->list, out->count, sizeof(*out->list), compare);
    return r;
}

/* The header knows the block size; until one was read, the sizes that are possible are tried. What
 * couldn't be read with one of them may be the header: no other size says that there is none. */
static int read_header_any(struct spool_follower *f, struct store_segment *handle, uint64_t number,
                           struct segment_header *out)
{
    bool is_blank, is_unread = false;
    int r = -EBADMSG;

    if (f->block_bytes)
        return segment_read_header(f->store->ops, handle, number, f->block_bytes, 0, out,
                                   &is_blank);
    /* As spool_open() allows. Where the copy lies is still to be found when the first can't be
     * read.
     */
    for (uint32_t block = 512; (r == -EBADMSG || r == -EIO) && block <= 65536; block *= 2) {
        r = segment_read_header(f->store->ops, handle, number, block, 0, out, &is_blank);
        is_unread = is_unread || r == -EIO;
    }
    if (r == 0)
        f->block_bytes = out->block_bytes;
    return r == -EBADMSG && is_unread ? -EIO : r;
}

static bool is_passed_over(const struct spool_follower *f, int error)
{
    return error == -EIO && (f->scan_flags & SCAN_AROUND);
}

/* The header alone: a trailer is asked for where nothing else says the end, so that one which can't
 * be read holds up nobody who doesn't need it. 0; -ENOENT when the segment is gone, was never used,
 * or can't be read and is to be passed over. */
static int look_at(struct spool_follower *f, uint64_t number, struct link_found *out)
{
    struct store_segment *handle;
    int r = f->store->ops->open_segment(f->store, STORE_LOG, number, true, &handle);

    if (r < 0)
        return r;
    *out = (struct link_found){.number = number};
    r = read_header_any(f, handle, number, &out->header);
    f->store->ops->close_segment(handle);
    /* -ESTALE: it was recycled since it was opened. */
    return r == -EBADMSG || r == -ESTALE || is_passed_over(f, r) ? -ENOENT : r;
}

/* From the limit's segment back to the one that follows the position's. 0 in f->successor: none.
 * The limit's is ours for certain; what bears another lane was put beside it and couldn't be set
 * aside (recovery.c). */
static int find_successor(struct spool_follower *f, const struct numbers *numbers)
{
    uint64_t number = f->position.segment;
    uint64_t wanted = f->limit.segment;
    struct link_found link;
    uint8_t lane[SEGMENT_LANE_BYTES];
    bool knows_lane = false;

    f->successor = f->told_end = 0;
    f->is_next = false;
    for (size_t i = numbers->count; i > 0 && numbers->list[i - 1] > number; i--) {
        if (numbers->list[i - 1] > wanted)
            continue;
        int r = look_at(f, numbers->list[i - 1], &link);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        if (link.number == f->limit.segment) {
            memcpy(lane, link.header.lane, sizeof(lane));
            knows_lane = true;
        } else if (knows_lane && memcmp(lane, link.header.lane, sizeof(lane)) != 0) {
            continue;
        }
        f->successor = link.number;
        wanted = link.header.previous_end.segment;
        f->is_next = wanted == number;
        if (f->is_next)
            f->told_end = link.header.previous_end.offset;
        if (wanted < number)
            break;
    }
    return 0;
}

static void start_scan(struct spool_follower *f, const struct link_found *link, uint64_t end)
{
    struct record_place place = {.segment = link->number};

    memcpy(place.salt, link->header.salt, sizeof(place.salt));
    f->created_us = link->header.created_us;
    if (f->position.offset < segment_first_offset(f->block_bytes))
        f->position.offset = segment_first_offset(f->block_bytes);
    scan_init(&f->scan, f->store->ops, f->handle, &place, f->block_bytes, f->position.offset, end,
              f->scan_flags);
    if (SPOOL_MUTANT == MUTANT_EVENT_SKIPPED && !f->ends_at_limit &&
        end > f->position.offset + f->block_bytes)
        f->scan.end = end - f->block_bytes;
}

/* Where a segment ends that no header names: its successor was recycled, or the chain is broken.
 * Without a trailer either, nothing more of it counts. */
static int read_end(struct spool_follower *f, const struct link_found *link, uint64_t *out)
{
    struct segment_trailer trailer;
    int r = segment_read_trailer(f->store->ops, f->handle, link->header.size_bytes, f->block_bytes,
                                 &link->header, 0, &trailer);

    if (r == -EIO && !is_passed_over(f, r))
        return r;
    *out = r == 0 ? trailer.end : f->position.offset;
    return 0;
}

/* Opens position.segment. -ENOENT: it isn't there; f->successor says which is next. */
static int open_segment(struct spool_follower *f)
{
    struct numbers numbers = {0};
    struct link_found link;
    int r = list_numbers(f, &numbers);

    f->ends_at_limit = f->position.segment == f->limit.segment;
    if (r == 0 && !f->ends_at_limit)
        r = find_successor(f, &numbers);
    uint64_t end = f->ends_at_limit ? f->limit.offset : f->told_end;
    free(numbers.list);
    if (r == 0)
        r = f->position.segment ? look_at(f, f->position.segment, &link) : -ENOENT;
    if (r == 0)
        r = f->store->ops->open_segment(f->store, STORE_LOG, link.number, true, &f->handle);
    if (r < 0)
        return r;
    if (!end)
        r = read_end(f, &link, &end);
    if (r < 0) {
        f->store->ops->close_segment(f->handle);
        f->handle = NULL;
        return r;
    }
    start_scan(f, &link, end);
    return 0;
}

/* ---- Records ---- */

/* 1: a record for the book; 0: none of these types. */
static int decode(struct spool_follower *f, const struct scan_record *record,
                  struct spool_followed *out)
{
    struct span meta = record->meta;
    int r = 0;

    switch (record->header.type) {
    case SPOOL_RECORD_MESSAGE:
    case SPOOL_RECORD_MOVED:
        r = record_decode_message(meta, record->header.version, &f->arena, &f->message,
                                  &f->envelope);
        if (r < 0)
            return r;
        out->kind = record->header.type == SPOOL_RECORD_MESSAGE ? SPOOL_FOLLOWED_MESSAGE
                                                                : SPOOL_FOLLOWED_MOVED;
        out->message = f->envelope.id;
        out->envelope = &f->envelope;
        out->expansions = f->message.expansions;
        out->expansion_count = f->message.expansion_count;
        out->waiting = f->message.net;
        out->waiting_count = f->message.net_count;
        out->header_bytes = f->message.header_bytes;
        out->body_bytes = f->message.body_bytes;
        out->time_us = f->created_us;
        return 1;
    case SPOOL_RECORD_EXPAND:
        r = codec_decode(&record_expand_codec, meta, &f->arena, &f->expand);
        if (r < 0 || f->expand.expansion_count != 1)
            return r < 0 ? r : -EBADMSG;
        out->kind = SPOOL_FOLLOWED_EXPAND;
        out->message = f->expand.message;
        out->expansion = &f->expand.expansions[0];
        out->first_child = f->expand.first_child;
        out->time_us = f->expand.time_us;
        return 1;
    case SPOOL_RECORD_STATUS:
        r = codec_decode(&record_status_codec, meta, &f->arena, &f->status);
        if (r < 0)
            return r;
        out->kind = f->status.flags & RECORD_STATUS_RESTATED ? SPOOL_FOLLOWED_RESTATED
                                                             : SPOOL_FOLLOWED_STATUS;
        out->time_us = f->created_us;
        out->message = f->status.message;
        out->statuses = f->status.statuses;
        out->status_count = f->status.status_count;
        return 1;
    default:
        return 0;
    }
}

/* EVENT records are of two kinds: what a caller appended goes to the book as it is, what the spool
 * itself tells is decoded here. */
static int decode_rest(struct spool_follower *f, const struct scan_record *record,
                       struct spool_followed *out)
{
    int r;

    switch (record->header.type) {
    case SPOOL_RECORD_EVENT:
        r = codec_decode(&record_event_codec, record->meta, &f->arena, &f->event);
        if (r < 0)
            return r;
        out->time_us = f->event.time_us;
        out->kind = SPOOL_FOLLOWED_EVENT;
        out->event = f->event.bytes;
        if (f->event.source == SPOOL_EVENT_CALLER)
            return 1;
        r = codec_decode(&spool_alarm_codec, f->event.bytes, &f->arena, &f->alarm);
        if (r < 0)
            return r;
        out->kind = SPOOL_FOLLOWED_ALARM;
        out->alarm = &f->alarm;
        return 1;
    case SPOOL_RECORD_SEAL:
        r = codec_decode(&record_seal_codec, record->meta, &f->arena, &f->seal);
        out->kind = SPOOL_FOLLOWED_SEAL;
        out->time_us = f->seal.time_us;
        return r < 0 ? r : 1;
    default:
        return 0;
    }
}

/* 1: *out is for the book. 0: nothing that it keeps. */
static int give(struct spool_follower *f, const struct scan_record *record,
                struct spool_followed *out)
{
    int r = -EBADMSG;

    *out = (struct spool_followed){
        .position = {f->position.segment, record->offset},
        .next = {f->position.segment, record->next},
    };
    if (!record->is_damaged && !record->meta_is_damaged) {
        r = decode(f, record, out);
        if (r == 0)
            r = decode_rest(f, record, out);
    }
    if (r == -EBADMSG) {
        out->kind = SPOOL_FOLLOWED_DAMAGED;
        r = 1;
    }
    if (r >= 0)
        f->position = out->next;
    else
        f->scan.offset = record->offset; /* for the next try */
    return r;
}

/* Where no record is any more: what is left of the segment, if it is anything, is damaged. */
static int damaged_rest(struct spool_follower *f, struct scan_record *record)
{
    if (f->scan.offset >= f->scan.end)
        return 0;
    *record =
        (struct scan_record){.offset = f->scan.offset, .next = f->scan.end, .is_damaged = true};
    f->scan.offset = f->scan.end;
    return 1;
}

/* 1: *out tells of what lay between. */
static int go_to_successor(struct spool_follower *f, bool has_missed, struct spool_followed *out)
{
    struct spool_position from = f->position;

    if (!f->successor)
        return -ENOENT; /* the limit's own segment isn't there */
    f->position = (struct spool_position){f->successor, segment_first_offset(f->block_bytes)};
    *out = (struct spool_followed){.kind = has_missed ? SPOOL_FOLLOWED_GAP : SPOOL_FOLLOWED_GONE,
                                   .position = from,
                                   .next = f->position};
    return has_missed || !f->is_next;
}

static int leave_segment(struct spool_follower *f, struct spool_followed *out)
{
    close_segment(f);
    return f->ends_at_limit ? 0 : go_to_successor(f, false, out);
}

/* The segment of the position is gone: nothing was missed when it had been read to its end. */
static int skip_gap(struct spool_follower *f, struct spool_followed *out)
{
    bool has_missed = f->position.segment && (!f->told_end || f->position.offset < f->told_end);

    return f->ends_at_limit ? -ENOENT : go_to_successor(f, has_missed, out);
}

/* Damage and gaps are given to the book, too: it says what it couldn't read, and goes on. */
int spool_follower_next(struct spool_follower *f, struct spool_followed *out)
{
    struct scan_record record;
    int r = 0;

    /* The last record's memory, and with it all that *out pointed to. */
    arena_clear(&f->arena);
    while (r == 0 && spool_position_compare(f->position, f->limit) < 0) {
        if (!f->handle) {
            r = open_segment(f);
            if (r == -ENOENT)
                r = skip_gap(f, out);
            continue;
        }
        r = scan_next(&f->scan, &record);
        if (r == 0)
            r = damaged_rest(f, &record);
        if (r > 0)
            r = give(f, &record, out);
        else if (r == 0)
            r = leave_segment(f, out);
    }
    return r;
}
