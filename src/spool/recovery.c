/*
 * Recovery (rule 2). The segments in use form a chain: each header names the end of the segment
 * before, so only the newest one's end has to be found, seal by seal. That one is synced first and
 * then read past the page cache: what a process before us wrote and didn't sync, or failed to sync,
 * must not be taken for what the disk has.
 *
 * What isn't ours by its lane or number is put aside before the chain is looked at.
 *
 * Recovery writes nothing but files put aside and the lane's mark. Groups then go to a new segment,
 * whose header settles for good where the old one ended. So recovery may be cut off anywhere and
 * just runs again.
 */
#include "base/fd.h"
#include "spool/checkpoint.h"
#include "spool/ends.h"
#include "spool/footer.h"
#include "spool/mutant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A default segment: a copy for people is no reason to run out of memory at the start. */
enum { ASIDE_BYTES_MAX = 64 << 20, COPY_NAME_BYTES = 80 };

/* A log segment and what its first and last blocks say. */
struct found {
    struct segment *segment; /* NULL: it was set aside */
    uint64_t number;
    struct segment_header header;
    struct segment_trailer trailer;
    bool is_used, has_trailer;
    bool is_misnamed; /* its header has a later number */
    bool is_cut;      /* the file is shorter than its header says */
};

struct recovery {
    struct spool *spool;
    struct found *rows; /* log segments, by number */
    size_t count;
    struct spool_obstacle *obstacle;
    int error;
    bool is_marked; /* the lane's mark names what is used */
};

/* An error at this segment; `r` again. */
static int fail_at(struct recovery *recovery, enum store_kind kind, uint64_t number, int r)
{
    if (r < 0 && !fd_is_shortage(-r))
        snprintf(recovery->obstacle->file, sizeof(recovery->obstacle->file), "%s-%016llx",
                 kind == STORE_LOG ? "log" : "bulk", (unsigned long long)number);
    return r;
}

/* ---- What is there ---- */

/* Bulk has no header: all of it counts as full and closed until replay has counted what lives in
 * it. A log segment counts as unused until its header was read. Under a number that is never given
 * lies nothing of ours: it stays as it is. */
static void found_one(void *arg, const struct store_entry *entry)
{
    struct recovery *recovery = arg;
    struct spool *spool = recovery->spool;

    if (entry->number == 0 || entry->number > SEGMENT_NUMBER_MAX)
        return;
    struct segment *segment = segment_new(entry->kind, entry->number, entry->size_bytes);
    if (!segment) {
        recovery->error = -ENOMEM;
        return;
    }
    if (entry->kind == STORE_BULK)
        segment_set_state(segment, SEGMENT_CLOSED);
    segment->end = entry->kind == STORE_BULK ? entry->size_bytes : 0;
    spool_insert_segment(spool, segment);
    recovery->count += entry->kind == STORE_LOG;
}

/* All of them, for the life of the server: a recycled segment keeps its handle, so no file is
 * looked up by name when mail waits. */
static int open_segments(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;

    for (int kind = 0; kind < 2; kind++) {
        LIST_EACH(&spool->segments[kind], link)
        {
            struct segment *segment = CONTAINER_OF(link, struct segment, link);
            int r = spool->ops->open_segment(spool->store, segment->kind, segment->number, false,
                                             &segment->handle);
            if (r < 0)
                return fail_at(recovery, segment->kind, segment->number, r);
        }
    }
    return 0;
}

static int list_segments(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    int r = spool->ops->list(spool->store, found_one, recovery);

    if (r == 0)
        r = recovery->error;
    if (r == 0)
        r = open_segments(recovery);
    if (r < 0)
        return r;
    recovery->rows = calloc(recovery->count + 1, sizeof(*recovery->rows));
    if (!recovery->rows)
        return -ENOMEM;
    size_t i = 0;
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        recovery->rows[i++] = (struct found){.segment = segment, .number = segment->number};
    }
    return 0;
}

/* A segment that nothing can be read from any more: its header is neither there nor blank, or
 * another's; or one that isn't ours. If its file can't be renamed it lies there without any use:
 * numbers go on behind it, and the follower knows its header for another's, too. */
static void set_segment_aside(struct spool *spool, struct segment *segment, const char *reason,
                              const char *what)
{
    struct spool_position position = {segment->kind == STORE_LOG ? segment->number : 0, 0};
    struct store_segment *handle = segment->handle;

    segment->handle = NULL;
    spool->ops->set_aside(handle, reason);
    spool_note_damage(spool, position, NULL, what);
    segment_free(segment, spool->ops);
}

/* Past the page cache, as for the records: after a failed sync it shows headers that the disk
 * doesn't have, and a chain over one of these would break at the next power cut. */
static int read_ends(struct spool *spool, struct found *found, bool *out_is_blank)
{
    struct segment *segment = found->segment;
    uint32_t block_bytes = spool->options.block_bytes;
    int flags = SPOOL_MUTANT == MUTANT_CACHE_TRUSTED ? 0 : STORE_READ_DIRECT;
    int r = -EBADMSG;

    if (segment->size_bytes >= segment_first_offset(block_bytes))
        r = segment_read_header(spool->ops, segment->handle, segment->number, block_bytes, flags,
                                &found->header, out_is_blank);
    if (r == -EBADMSG && *out_is_blank)
        *out_is_blank = !segment_was_closed(spool->ops, segment->handle, segment->size_bytes,
                                            block_bytes, segment->number, flags);
    found->has_trailer =
        r == 0 && segment_read_trailer(spool->ops, segment->handle, segment->size_bytes,
                                       block_bytes, &found->header, flags, &found->trailer) == 0;
    return r;
}

static int read_header(struct recovery *recovery, struct found *found)
{
    struct spool *spool = recovery->spool;
    struct segment *segment = found->segment;
    bool is_blank = false;
    int r = read_ends(spool, found, &is_blank);

    if (!found->has_trailer && r != -EPROTONOSUPPORT && r != -ENOMEM) {
        /* No trailer: perhaps the newest one. What a killed process wrote and didn't sync comes to
         * the disk now or never, else a header that is read now might be gone after the next power
         * cut, with groups that were acknowledged behind it. An error shows in what is read. */
        is_blank = false;
        spool->ops->sync(segment->handle);
        r = read_ends(spool, found, &is_blank);
    }
    if (r < 0 && r != -EBADMSG &&
        r != -ESTALE) /* with EIO, too: what can't be read isn't known to be damaged */
        return r;
    /* Block size is the lane's for ever: offsets of groups depend on it. */
    if (r == 0 && found->header.block_bytes != spool->options.block_bytes)
        return -EMEDIUMTYPE;
    found->is_used = r == 0;
    found->is_misnamed = r == -ESTALE;
    segment->has_trailer = found->has_trailer;
    if (r == 0) {
        memcpy(segment->salt, found->header.salt, sizeof(segment->salt));
        segment_set_state(segment, SEGMENT_CLOSED);
        found->is_cut = segment->size_bytes < found->header.size_bytes;
        if (found->is_cut)
            spool_note_damage(spool, (struct spool_position){segment->number, segment->size_bytes},
                              NULL, "a segment's file has lost its end");
    } else if (!is_blank && !found->is_misnamed) {
        set_segment_aside(spool, segment, "header-damaged",
                          "a segment's header is damaged; it was put aside");
        found->segment = NULL;
    }
    return 0;
}

/* ---- What isn't ours ---- */

static bool is_of_lane(const struct found *found, const struct found *own)
{
    return memcmp(found->header.lane, own->header.lane, sizeof(own->header.lane)) == 0;
}

static size_t count_lane(const struct recovery *recovery, const struct found *of)
{
    size_t count = 0;

    for (size_t i = 0; i < recovery->count; i++)
        count += recovery->rows[i].is_used && is_of_lane(&recovery->rows[i], of);
    return count;
}

/* One of the segments that bear our lane: the one that the mark names, or, where none does (the
 * mark is lost, or the folder was filled from a backup), the one that most bear; of equals the
 * oldest's, for what is put beside a young log comes behind it. NULL: none is in use. */
static const struct found *find_own(const struct recovery *recovery, const struct lane_mark *mark)
{
    const struct found *most = NULL;
    size_t most_count = 0;

    for (size_t i = 0; i < recovery->count; i++) {
        const struct found *found = &recovery->rows[i];
        if (!found->is_used)
            continue;
        if (lane_mark_names(mark, found->header.lane))
            return found;
        size_t count = most && is_of_lane(found, most) ? 0 : count_lane(recovery, found);
        if (count > most_count) {
            most = found;
            most_count = count;
        }
    }
    return most;
}

/* A free one tells by the header of its life before, a misnamed one by that of its own number. */
static bool is_foreign(const struct found *found, const struct found *own)
{
    bool has_header = found->is_used || found->header.number != 0;
    return own && has_header && !is_of_lane(found, own);
}

/* Numbers go on behind the highest that may be ours, also when it is set aside: it was used. */
static void limit_numbers(struct recovery *recovery, uint64_t limit)
{
    uint64_t *last = &recovery->spool->last_number[STORE_LOG];

    *last = 0;
    for (size_t i = 0; i < recovery->count; i++)
        if (recovery->rows[i].number <= limit)
            *last = recovery->rows[i].number;
}

/* Before the chain is looked at, so that nobody else's header stands in it. A header that is
 * damaged says nothing of its lane: read_header() has named it as damage. */
static int set_foreign_aside(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    struct lane_mark mark;
    int r = lane_mark_load(spool, &mark);

    if (r < 0)
        return r;
    const struct found *own = find_own(recovery, &mark);
    recovery->is_marked = own && lane_mark_names(&mark, own->header.lane);
    lane_mark_done(&mark);
    uint64_t newest = 0;
    for (size_t i = 0; i < recovery->count; i++)
        if (recovery->rows[i].is_used && is_of_lane(&recovery->rows[i], own))
            newest = recovery->rows[i].number;
    for (size_t i = 0; i < recovery->count; i++) {
        struct found *found = &recovery->rows[i];
        bool foreign = found->segment && is_foreign(found, own);
        bool far = found->segment && found->number > newest + SEGMENT_NUMBER_LEAP;
        if (!foreign && !far)
            continue;
        set_segment_aside(spool, found->segment, "foreign",
                          foreign ? "a segment is another spool's; it was put aside"
                                  : "a segment's number is none of ours; it was put aside");
        found->segment = NULL;
        found->is_used = false;
    }
    limit_numbers(recovery, newest + SEGMENT_NUMBER_LEAP);
    return 0;
}

/* ---- What was renamed ---- */

/* A log that was ever used has a newest segment. If no header fits its name any more, then people
 * have moved the files, and nothing may be taken for free. */
static bool has_lost_all(const struct recovery *recovery)
{
    bool was_used = false;

    for (size_t i = 0; i < recovery->count; i++) {
        const struct found *found = &recovery->rows[i];
        if (found->is_used)
            return false;
        was_used |= found->segment && found->header.number != 0;
    }
    return was_used;
}

/* Files have got each other's names: which of them is free nobody knows. What seems to be, for its
 * header of an earlier number, may be what was renamed. */
static void keep_spares(struct recovery *recovery)
{
    for (size_t i = 0; i < recovery->count; i++) {
        struct found *found = &recovery->rows[i];
        if (!found->segment || found->is_used)
            continue;
        set_segment_aside(recovery->spool, found->segment, "misnamed",
                          "a free segment was put aside, for others were renamed");
        found->segment = NULL;
    }
}

/* When all that isn't ours is gone: another spool's segment under one of our numbers says nothing
 * of our names. */
static void set_misnamed_aside(struct recovery *recovery)
{
    bool was_renamed = has_lost_all(recovery);

    for (size_t i = 0; i < recovery->count; i++) {
        struct found *found = &recovery->rows[i];
        if (!found->segment || !found->is_misnamed)
            continue;
        set_segment_aside(recovery->spool, found->segment, "misnamed",
                          "the file is another segment's, it was renamed; it was put aside");
        found->segment = NULL;
        was_renamed = true;
    }
    if (was_renamed)
        keep_spares(recovery);
}

static int read_headers(struct recovery *recovery)
{
    for (size_t i = 0; i < recovery->count; i++) {
        int r = read_header(recovery, &recovery->rows[i]);
        if (r < 0)
            return fail_at(recovery, STORE_LOG, recovery->rows[i].number, r);
    }
    int r = set_foreign_aside(recovery);
    if (r == 0)
        set_misnamed_aside(recovery);
    return r;
}

/* ---- The tail ---- */

/* Of the same damage at each start the same; of a segment that later got this number (the spool was
 * made anew, or put back from a copy) another one. The salt itself stays secret. */
static void name_copy(const struct segment *segment, const char *what, uint64_t from,
                      char out[static COPY_NAME_BYTES])
{
    uint32_t salt_sum = (uint32_t)record_sum(span_of(segment->salt, sizeof(segment->salt)));

    snprintf(out, COPY_NAME_BYTES, "aside-%s-%016llx-%llu-%08x", what,
             (unsigned long long)segment->number, (unsigned long long)from, salt_sum);
}

/* A copy for people, named by where it lay, with zeros for what can't be read. 0, -ENOMEM, or why
 * it isn't all there. */
static int copy_aside(struct spool *spool, const struct segment *segment, const char *what,
                      uint64_t from, uint64_t to)
{
    char name[COPY_NAME_BYTES];
    struct segment_range unread = {0};
    size_t size = to - from < ASIDE_BYTES_MAX ? to - from : ASIDE_BYTES_MAX;
    char *bytes = malloc(size + 1);

    if (!bytes)
        return -ENOMEM;
    ssize_t n = segment_read(spool->ops, segment->handle, from, bytes, size, STORE_READ_DIRECT);
    if (n < 0)
        segment_read_around(spool->ops, segment->handle, spool->options.block_bytes, from, bytes,
                            size, STORE_READ_DIRECT, &unread);
    struct iovec part = {bytes, n < 0 ? size : (size_t)n};
    name_copy(segment, what, from, name);
    int r = spool->ops->put_file(spool->store, name, &part, 1);
    free(bytes);
    return r == 0 && unread.to ? -EIO : r;
}

/* Nothing depends on the copy, so only want of memory fails the start. */
static int put_aside(struct spool *spool, const struct segment *segment, const char *what,
                     uint64_t from, uint64_t to)
{
    int r = copy_aside(spool, segment, what, from, to);
    return r == -ENOMEM ? r : 0;
}

/* Where the copy isn't whole the segment keeps the bytes as long as it is there. */
static int keep_tail(struct spool *spool, struct segment *segment, uint64_t tail_end)
{
    struct spool_position position = {segment->number, segment->end};
    char name[COPY_NAME_BYTES];

    if (!tail_end)
        return 0;
    name_copy(segment, "tail", segment->end, name);
    append_alarm(spool, SPOOL_ALARM_TAIL, NULL, position, "%s", name);
    spool->tail = position;
    int r = copy_aside(spool, segment, "tail", segment->end, tail_end);
    segment->keeps_tail = r < 0;
    return r == -ENOMEM ? r : 0;
}

/* ---- The chain ---- */

/* A sync that fails is no reason not to start: what is read past the cache is what the disk has,
 * and only that counts. Acknowledged groups were synced by whoever acknowledged them. */
static int settle_newest(struct spool *spool, struct found *found)
{
    struct segment *segment = found->segment;
    struct seals seals;
    uint64_t tail_end;
    int r;

    r = spool->ops->sync(segment->handle);
    if (r < 0)
        append_alarm(spool, SPOOL_ALARM_FAILED, NULL, (struct spool_position){segment->number, 0},
                     "sync at start: %s", strerror(-r));
    r = ends_find(spool, found->segment, &found->header, &seals, &tail_end);
    if (r < 0)
        return r;
    segment->end = seals.end;
    spool->sealed = (struct spool_position){segment->number, seals.end};
    spool->used_number = segment->number;
    spool->last_seal = seals.last_seal;
    spool->last_sum = seals.last_sum;
    spool->sequence = seals.sequence;
    spool_set_lane(spool, found->header.lane);
    return keep_tail(spool, segment, tail_end);
}

/* A segment whose successor is gone: its trailer says where it ends, or else its seals do. */
static int settle_alone(struct spool *spool, struct found *found)
{
    struct seals seals;
    uint64_t tail_end;
    int r = 0;

    if (found->has_trailer) {
        found->segment->end = found->trailer.end;
        return 0;
    }
    r = ends_find(spool, found->segment, &found->header, &seals, &tail_end);
    if (r == 0)
        found->segment->end = seals.end;
    return r;
}

/* From the newest to the oldest. A segment that the chain passes over never had a sealed group that
 * counted: it is free. The newest settles first: it alone needs its seals read. What its header
 * says of the one before stands against whatever lies on the disk behind that place, for it was
 * never acknowledged (rule 6). */
static int settle_ends(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    const struct segment_header *next = NULL;
    int r = 0;

    for (size_t i = recovery->count; r == 0 && i > 0; i--) {
        struct found *found = &recovery->rows[i - 1];
        if (!found->is_used)
            continue;
        struct segment *segment = found->segment;
        if (!next) {
            r = fail_at(recovery, STORE_LOG, found->number, settle_newest(spool, found));
        } else if (segment->number == next->previous_end.segment) {
            segment->end = next->previous_end.offset;
        } else if (segment->number > next->previous_end.segment) {
            found->is_used = false;
            segment_set_state(segment, SEGMENT_SPARE);
            continue;
        } else {
            r = fail_at(recovery, STORE_LOG, found->number, settle_alone(spool, found));
        }
        /* What lives in it moves, as from one that failed. A trailer has no place there any more:
         * it would be written over what is left. */
        if (found->is_cut)
            segment_set_state(segment, SEGMENT_FAILED);
        next = &found->header;
    }
    return r;
}

/* ---- Replay ---- */

/* What a damaged record means (rule 8). */
static int note_damaged_record(struct spool *spool, const struct segment *segment,
                               const struct scan_record *record)
{
    struct spool_position position = {segment->number, record->offset};

    if (record->is_damaged) {
        spool_note_damage(spool, position, NULL, "records are damaged beyond recognition");
        return put_aside(spool, segment, "damaged", record->offset, record->next);
    }
    switch (record->header.type) {
    case SPOOL_RECORD_MESSAGE:
    case SPOOL_RECORD_MOVED:
        spool_note_damage(spool, position, NULL, "a message's envelope is damaged");
        return put_aside(spool, segment, "message", record->offset, record->next);
    case SPOOL_RECORD_STATUS:
        spool_note_damage(spool, position, NULL,
                          "an outcome is damaged; its recipient may get a duplicate");
        return 0;
    case SPOOL_RECORD_EXPAND:
        spool_note_damage(spool, position, NULL, "an expansion is damaged");
        return put_aside(spool, segment, "expansion", record->offset, record->next);
    default:
        spool_note_damage(spool, position, NULL, "a record is damaged");
        return 0;
    }
}

/* What passes its checksum and still can't be decoded is treated as damaged: a fault of the writer
 * must not keep the server from starting. */
static int replay_one(struct spool *spool, struct segment *segment,
                      const struct scan_record *record)
{
    if (record->is_damaged || record->meta_is_damaged)
        return note_damaged_record(spool, segment, record);
    int r = replay_record(spool, segment, record);
    if (r == -EBADMSG || r == -EINVAL) { /* verified, yet not what it should be */
        struct scan_record odd = *record;
        odd.meta_is_damaged = true;
        return note_damaged_record(spool, segment, &odd);
    }
    return r;
}

static int replay_segment(struct spool *spool, struct segment *segment, uint64_t from, int flags)
{
    struct record_place place = segment_place(segment);
    struct scan_record record;
    struct scan scan;
    int r;

    scan_init(&scan, spool->ops, segment->handle, &place, spool->options.block_bytes, from,
              segment->end, flags);
    while ((r = scan_next(&scan, &record)) > 0) {
        r = replay_one(spool, segment, &record);
        if (r < 0)
            break;
    }
    if (r == 0 && scan.offset < segment->end) {
        record =
            (struct scan_record){.offset = scan.offset, .next = segment->end, .is_damaged = true};
        r = note_damaged_record(spool, segment, &record);
    }
    scan_done(&scan);
    return r;
}

/* -ENOENT: no footer that can be used. */
static int replay_footer(struct spool *spool, struct found *found, uint64_t from)
{
    struct record_place place = segment_place(found->segment);
    struct scan_record record;
    struct footer footer;
    int r = found->has_trailer
                ? footer_open(&footer, spool->ops, found->segment->handle, &place, &found->trailer)
                : -ENOENT;
    if (r < 0)
        return r;
    while ((r = footer_next(&footer, &record)) > 0) {
        if (record.offset >= from)
            r = replay_one(spool, found->segment, &record);
        if (r < 0)
            break;
    }
    footer_close(&footer);
    return r == -EBADMSG ? -ENOENT : r; /* replaying the whole segment over a part is the same */
}

/* The newest segment is read with all its data, since what a power cut tore is found there. Older
 * ones by their footers: their data was synced before anything came after it, and is verified when
 * it is read. */
static int replay_found(struct spool *spool, struct found *found, uint64_t from)
{
    struct segment *segment = found->segment;

    if (segment->number == spool->sealed.segment)
        return replay_segment(spool, segment, from, SCAN_DIRECT | SCAN_DATA | SCAN_AROUND);
    int r = replay_footer(spool, found, from);
    return r == -ENOENT ? replay_segment(spool, segment, from, SCAN_AROUND) : r;
}

/* From the checkpoint's position on, or all. In order of number, so that the last word on a
 * recipient comes last. */
static int replay_all(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    struct spool_position from = {0, 0};
    int r = checkpoint_load(spool, &from);

    if (r == -ENOENT)
        r = 0;
    for (size_t i = 0; r == 0 && i < recovery->count; i++) {
        struct found *found = &recovery->rows[i];
        if (!found->is_used || found->segment->number < from.segment)
            continue;
        if (SPOOL_MUTANT == MUTANT_CHECKPOINT_TRUSTED && found->segment->number == from.segment)
            continue;
        r = replay_found(spool, found,
                         found->segment->number == from.segment
                             ? from.offset
                             : segment_first_offset(spool->options.block_bytes));
        fail_at(recovery, STORE_LOG, found->number, r);
    }
    return r;
}

/* ---- What follows from it ---- */

/* Bulk has no header: its newest that is known to be ours is the last one with extents of what
 * waits. Of another spool's below that nothing tells it from one of ours that is free. */
static void set_foreign_bulk_aside(struct spool *spool)
{
    uint64_t newest = 0, last = 0;

    LIST_EACH(&spool->segments[STORE_BULK], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (segment->live_messages)
            newest = segment->number;
    }
    LIST_EACH(&spool->segments[STORE_BULK], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (segment->number <= newest + SEGMENT_NUMBER_LEAP)
            last = segment->number;
        else
            set_segment_aside(spool, segment, "foreign",
                              "a bulk segment's number is none of ours; it was put aside");
    }
    spool->last_number[STORE_BULK] = last;
}

/* Only when all is replayed: a later record may say that the message had its fate, and then nobody
 * misses the bytes. */
static void set_aside_what_lacks_bytes(struct spool *spool)
{
    for (size_t i = 0; i < spool->index.bucket_count; i++) {
        for (struct spool_message *m = index_first(&spool->index, i); m;
             m = index_next(&spool->index, m)) {
            if (m->flags & SPOOL_MESSAGE_LACKS_BYTES || !index_home(m))
                spool_set_message_aside(spool, m);
        }
    }
}

/* Where somebody's file or folder is in the way, under one of the next numbers. */
static int create_next(struct spool *spool, struct segment *segment)
{
    enum { TRIES = 16 };
    int r = -EEXIST;

    for (int i = 0; r == -EEXIST && i < TRIES; i++) {
        segment->number = spool_take_number(spool, STORE_LOG);
        r = segment_create(spool->ops, spool->store, segment);
    }
    return r;
}

/* At least one segment to write to; spares of another size than we want now go. Blocking is fine
 * here: nobody is served before the start. */
static int make_spare(struct spool *spool)
{
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (segment->state != SEGMENT_SPARE || segment->size_bytes == spool->options.segment_bytes)
            continue;
        struct store_segment *handle = segment->handle;
        segment->handle = NULL;
        segment_free(segment, spool->ops);
        (void)spool->ops->remove(handle); /* what stays has no use, and the next start takes it */
    }
    if (spool_next_spare(spool))
        return 0;
    struct segment *segment = segment_new(STORE_LOG, 0, spool->options.segment_bytes);
    if (!segment)
        return -ENOMEM;
    int r = create_next(spool, segment);
    if (r < 0) { /* rule 7: the server starts all the same, and defers new mail */
        segment_free(segment, spool->ops);
        spool->prepare_error = r;
        return 0;
    }
    spool_insert_segment(spool, segment);
    return 0;
}

static int new_lane(struct spool *spool)
{
    uint8_t lane[SEGMENT_LANE_BYTES];
    int r = spool_random(spool, lane, sizeof(lane));

    if (r == 0)
        spool_set_lane(spool, lane);
    return r;
}

/* The spare is made before the space is asked for, so that pressure counts it as used. */
static int finish(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    int r = 0;

    set_foreign_bulk_aside(spool);
    if (!spool->sealed.segment)
        r = new_lane(spool);
    if (r == 0 && !recovery->is_marked) /* before anything is sealed in it */
        lane_mark_save(spool);
    if (r == 0)
        r = make_spare(spool);
    if (r < 0)
        return r;
    checkpoint_remove_others(spool->store, spool->checkpoint_generation);
    set_aside_what_lacks_bytes(spool);
    spool->book_furthest = spool->sealed;
    return spool->ops->space(spool->store, &spool->space);
}

/* Nothing of it is on disk when it fails halfway, but files put aside and the mark: the next start
 * does it all again. */
int recovery_run(struct spool *spool, struct spool_obstacle *out_obstacle)
{
    struct recovery recovery = {.spool = spool, .obstacle = out_obstacle};
    int r = list_segments(&recovery);

    if (r == 0)
        r = read_headers(&recovery);
    if (r == 0)
        r = settle_ends(&recovery);
    if (r == 0)
        r = replay_all(&recovery);
    if (r == 0)
        r = finish(&recovery);
    free(recovery.rows);
    return r;
}
