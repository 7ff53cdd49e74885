/* What a log segment that is to be emptied holds: its messages, and what concerns others. */
#include "spool/compact.h"

#include "base/grow.h"
#include "spool/mutant.h"
#include "spool/scan.h"
#include <errno.h>
#include <stdlib.h>

/* What saying again of a message takes, about: the record, and each recipient that waits, there and
 * in a MOVED. */
enum { RESTATED_BYTES = 160, RESTATED_EACH = 80, MOVED_EACH = 24 };

/* What the thread gathers. Only `finish`, on the owner's thread, may hold it against the index. */
struct compact_scan {
    struct spool_task task;
    struct compaction *compaction;
    struct record_place place;
    uint32_t block_bytes;
    uint64_t end;
    int flags;
    struct compact_entries messages, concerns;
    uint64_t damaged;
};

int compact_add_entry(struct compact_entries *entries, const struct compact_entry *entry)
{
    struct compact_entry *rows =
        grow_by_one(entries->rows, entries->count, &entries->capacity, sizeof(*rows), 256);
    if (!rows)
        return -ENOMEM;
    entries->rows = rows;
    entries->rows[entries->count++] = *entry;
    return 0;
}

/* A MOVED concerns the segment it came from, too: while the old record exists, recovery would bring
 * it back to life without this one. */
static int note_message(struct compact_scan *scan, const struct scan_record *record,
                        struct arena *arena)
{
    struct record_message message;
    struct envelope envelope;
    int r = record_decode_message(record->meta, record->header.version, arena, &message, &envelope);

    if (r < 0)
        return r;
    struct compact_entry entry = {
        .id = envelope.id,
        .offset = record->offset,
        .home = message.from.segment,
        .bytes = record_bytes(record->header.meta_bytes, record->header.data_bytes)};
    r = compact_add_entry(&scan->messages, &entry);
    if (r == 0 && entry.home && entry.home != scan->place.segment)
        r = compact_add_entry(&scan->concerns, &entry);
    return r;
}

/* What concerns this segment itself goes with it. */
static int note_status(struct compact_scan *scan, const struct scan_record *record,
                       struct arena *arena)
{
    struct record_status status;
    int r = codec_decode(&record_status_codec, record->meta, arena, &status);

    if (r < 0 || status.home == scan->place.segment || SPOOL_MUTANT == MUTANT_STATUS_LOST)
        return r;
    return compact_add_entry(&scan->concerns,
                             &(struct compact_entry){.id = status.message, .home = status.home});
}

/* It stands directly behind its MESSAGE, and will lie in the MOVED. */
static void note_expand(struct compact_scan *scan, const struct scan_record *record)
{
    if (scan->messages.count)
        scan->messages.rows[scan->messages.count - 1].bytes += record->header.meta_bytes;
}

/* Damaged records are passed over: what can still be read of the segment is saved, and compact.c
 * sets the rest aside. Events and seals are the book's, which has them. */
static int note_record(struct compact_scan *scan, const struct scan_record *record)
{
    struct arena arena = ARENA_INIT;
    int r = 0;

    if (record->is_damaged || record->meta_is_damaged) {
        scan->damaged++;
        return 0;
    }
    if (record->header.type == SPOOL_RECORD_MESSAGE || record->header.type == SPOOL_RECORD_MOVED)
        r = note_message(scan, record, &arena);
    else if (record->header.type == SPOOL_RECORD_STATUS)
        r = note_status(scan, record, &arena);
    else if (record->header.type == SPOOL_RECORD_EXPAND)
        note_expand(scan, record);
    arena_done(&arena);
    if (r == -EBADMSG) {
        scan->damaged++;
        r = 0;
    }
    return r;
}

static int compare(const void *a, const void *b)
{
    const struct compact_entry *x = a, *y = b;
    int order = id_compare(&x->id, &y->id);
    return order ? order : (x->home > y->home) - (x->home < y->home);
}

/* Many records of one message are said again once. */
static void unique(struct compact_entries *entries)
{
    size_t kept = 0;

    if (!entries->count)
        return;
    qsort(entries->rows, entries->count, sizeof(*entries->rows), compare);
    for (size_t i = 1; i < entries->count; i++) {
        if (compare(&entries->rows[kept], &entries->rows[i]) != 0)
            entries->rows[++kept] = entries->rows[i];
    }
    entries->count = kept + 1;
}

static void scan_run(struct spool_task *task)
{
    struct compact_scan *c = CONTAINER_OF(task, struct compact_scan, task);
    struct scan_record record;
    struct scan scan;
    int r;

    scan_init(&scan, task->ops, c->compaction->victim->handle, &c->place, c->block_bytes,
              segment_first_offset(c->block_bytes), c->end, c->flags);
    while ((r = scan_next(&scan, &record)) > 0) {
        r = note_record(c, &record);
        if (r < 0)
            break;
    }
    if (r == 0 && scan.offset < scan.end)
        c->damaged++;
    scan_done(&scan);
    unique(&c->concerns);
    task->error = r;
}

/* The messages that still live there, and what they take. */
static uint64_t keep_living(struct spool *spool, const struct segment *victim,
                            struct compact_entries *entries)
{
    uint64_t bytes = 0;
    size_t kept = 0;

    for (size_t i = 0; i < entries->count; i++) {
        const struct spool_message *m = index_find(&spool->index, &entries->rows[i].id);
        if (!m || index_home(m) != victim || m->offset != entries->rows[i].offset ||
            m->flags & SPOOL_MESSAGE_DAMAGED)
            continue;
        bytes += entries->rows[i].bytes + (uint64_t)m->waiting * MOVED_EACH;
        entries->rows[kept++] = entries->rows[i];
    }
    entries->count = kept;
    return bytes;
}

/* Of one that is gone, nothing but that; of one that lives elsewhere its home tells, or it moves
 * within the room that is left (compact.c). */
static uint64_t restated_bytes(const struct spool *spool, const struct segment *victim,
                               const struct compact_entry *concern)
{
    const struct spool_message *m = index_find(&spool->index, &concern->id);
    const struct segment *home = m ? index_home(m) : NULL;
    bool names_all = home && (home == victim || home->number == concern->home);

    return RESTATED_BYTES + (names_all ? (uint64_t)m->waiting * RESTATED_EACH : 0);
}

/* What concerns a segment that is gone says nothing any more. Neighbours are of one time, so most
 * often of one home. */
static uint64_t keep_concerning(const struct spool *spool, const struct segment *victim,
                                struct compact_entries *entries)
{
    uint64_t bytes = 0, home = 0;
    bool exists = false;
    size_t kept = 0;

    for (size_t i = 0; i < entries->count; i++) {
        if (i == 0 || entries->rows[i].home != home) {
            home = entries->rows[i].home;
            exists = recycle_exists(spool, home);
        }
        if (!exists)
            continue;
        bytes += restated_bytes(spool, victim, &entries->rows[i]);
        entries->rows[kept++] = entries->rows[i];
    }
    entries->count = kept;
    return bytes;
}

struct compact_entry *compact_concerns(struct compaction *c, const struct id *id, size_t *out_count)
{
    size_t low = 0, high = c->concerns.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (id_compare(&c->concerns.rows[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < c->concerns.count && id_equal(&c->concerns.rows[high].id, id);)
        high++;
    *out_count = SPOOL_MUTANT == MUTANT_RESTATED_APART ? 0 : high - low;
    return *out_count ? &c->concerns.rows[low] : NULL;
}

/* Messages that live in neither the victim nor where the record is that it concerns: whether their
 * home says enough is known when they are loaded. */
static int add_elsewhere(struct spool *spool, const struct segment *victim,
                         const struct compact_entries *concerns, struct compact_entries *out)
{
    struct id last = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < concerns->count; i++) {
        const struct compact_entry *concern = &concerns->rows[i];
        const struct spool_message *m = spool_find(spool, &concern->id);
        const struct segment *home = m ? index_home(m) : NULL;
        if (!home || home == victim || home->number == concern->home || id_equal(&m->id, &last))
            continue;
        last = m->id;
        r = compact_add_entry(out, &(struct compact_entry){.id = m->id});
    }
    return r;
}

/* With outcomes it may be more than of messages alone: nothing else frees the segments that lie
 * behind, each of which has some. */
static uint32_t most_percent(const struct spool *spool)
{
    enum { RESTATED_PERCENT = 75 };
    uint32_t percent = spool->options.compact_percent;

    return percent > RESTATED_PERCENT ? percent : RESTATED_PERCENT;
}

/* The scan was of a moment ago: what it found is held against the index as it is now. */
static void scan_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct compact_scan *scan = CONTAINER_OF(task, struct compact_scan, task);
    struct compaction *c = scan->compaction;
    struct segment *victim = c->victim;
    uint64_t used = victim->end - segment_first_offset(scan->block_bytes);

    (void)now_us;
    if (scan->damaged && !victim->is_told)
        spool_note_damage(spool, (struct spool_position){victim->number, 0}, NULL,
                          "compaction found damaged records");
    victim->is_told |= scan->damaged > 0;
    uint64_t moved = keep_living(spool, victim, &scan->messages);
    uint64_t bytes = moved + keep_concerning(spool, victim, &scan->concerns);
    int r = add_elsewhere(spool, victim, &scan->concerns, &scan->messages);
    bool must = victim->state == SEGMENT_FAILED;
    uint64_t most = must ? UINT64_MAX : used * most_percent(spool) / 100;
    c->stage = COMPACT_MOVE;
    c->is_unworthy = !must && (bytes > most || moved > used * spool->options.compact_percent / 100);
    c->room = bytes < most ? most - bytes : 0;
    c->has_failed = task->error != 0 || r < 0;
    if (!c->is_unworthy && !c->has_failed) {
        c->messages = scan->messages;
        c->concerns = scan->concerns;
        scan->messages = scan->concerns = (struct compact_entries){0};
    }
    free(scan->messages.rows);
    free(scan->concerns.rows);
    free(scan);
}

struct spool_task *compact_scan_new(struct spool *spool, struct compaction *compaction)
{
    const struct segment *victim = compaction->victim;
    struct compact_scan *scan = calloc(1, sizeof(*scan));

    if (!scan)
        return NULL;
    task_init(&scan->task, spool, scan_run, scan_finish);
    scan->compaction = compaction;
    scan->place = segment_place(victim);
    scan->block_bytes = spool->options.block_bytes;
    scan->end = victim->end;
    /* Rule 6: what a failed segment has sealed is verified on the disk itself. */
    scan->flags = victim->state == SEGMENT_FAILED ? SCAN_DIRECT | SCAN_DATA : 0;
    return &scan->task;
}
