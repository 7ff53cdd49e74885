/*
 * Recycling (rule 5). A log segment goes when (a) no message in it waits, (b) no outcome in it
 * concerns a MESSAGE record that is still on disk, and (c) the book has folded it. A bulk segment:
 * when no message refers to it and no upload is in it.
 *
 * A segment counts as there (rule 5b) until its file has another number for certain: a file that
 * couldn't be renamed comes back at the next start with its messages, so what ends these must stay.
 * One that is to be deleted gets another number first, too.
 *
 * Two conditions come from recovery: while a checkpoint stands, what lies behind its position is
 * replayed over it and must stay; and a header that alone says where its predecessor ends must stay
 * until that one has a trailer.
 */
#include "spool/lane.h"
#include "spool/mutant.h"

#include <errno.h>
#include <stdlib.h>

struct recycle {
    struct spool_task task;
    struct segment *segment;
    uint64_t new_number;
    bool to_remove;
};

static bool is_in_use(const struct segment *segment)
{
    return segment->state != SEGMENT_SPARE;
}

bool recycle_exists(const struct spool *spool, uint64_t number)
{
    const struct segment *other = spool_segment(spool, STORE_LOG, number);
    return other && is_in_use(other);
}

/* Rule 5b. What is found to be gone is forgotten: a number never comes back. */
static bool concerns_something(const struct spool *spool, struct segment *segment)
{
    const struct list *oldest = spool->segments[STORE_LOG].next;

    if (SPOOL_MUTANT == MUTANT_STATUS_RECYCLED)
        return false;
    while (segment->concern_count) {
        if (recycle_exists(spool, segment->concerns[segment->concern_count - 1]))
            return true;
        segment->concern_count--;
    }
    while (oldest != &segment->link && segment->concerns_all) {
        if (is_in_use(CONTAINER_OF(oldest, struct segment, link)))
            return true;
        oldest = oldest->next;
    }
    return false;
}

/* The next older segment in use needs this one's header to know its end, unless it has a trailer.
 */
static bool is_needed_by_predecessor(const struct spool *spool, const struct segment *segment)
{
    for (const struct list *link = segment->link.prev; link != &spool->segments[STORE_LOG];
         link = link->prev) {
        const struct segment *older = CONTAINER_OF(link, struct segment, link);
        if (is_in_use(older))
            return !older->has_trailer;
    }
    return false;
}

bool recycle_may_come(const struct spool *spool, const struct segment *segment)
{
    struct spool_position end = {segment->number, segment->end};

    return (segment->state == SEGMENT_CLOSED || segment->state == SEGMENT_FAILED) &&
           segment->number < spool->sealed.segment &&
           spool_position_compare(end, spool->book) <= 0 &&
           !checkpoint_needs(spool, segment->number) && !is_needed_by_predecessor(spool, segment);
}

static bool log_is_free(const struct spool *spool, struct segment *segment)
{
    if (segment->number >= spool->sealed.segment) /* the newest one, spares, what just failed */
        return false;
    if (segment->state == SEGMENT_SPARE)
        return true; /* passed over: its number is too low to be used */
    return segment->live_messages == 0 && recycle_may_come(spool, segment) &&
           !concerns_something(spool, segment);
}

/* A group that failed may show up at the next start with the messages that were refused; only when
 * a later one is sealed behind a new header is it certain that it doesn't. Until then the bytes
 * that they refer to stay. */
static bool bulk_is_free(const struct spool *spool, const struct segment *segment)
{
    return (spool->failures == 0 || SPOOL_MUTANT == MUTANT_REFUSED_REUSED) &&
           (segment->state == SEGMENT_CLOSED || segment->state == SEGMENT_FAILED) &&
           segment->live_messages == 0;
}

/* Pinned: a reader, a task or an upload is in it. Being compacted: its messages are on their way
 * out. */
static struct segment *find_free(const struct spool *spool)
{
    for (int kind = 0; kind < 2; kind++) {
        LIST_EACH(&spool->segments[kind], link)
        {
            struct segment *segment = CONTAINER_OF(link, struct segment, link);
            bool pinned = segment->pins && SPOOL_MUTANT != MUTANT_UPLOAD_REUSED;
            if (pinned || segment->is_compacting)
                continue;
            if (kind == STORE_LOG ? log_is_free(spool, segment) : bulk_is_free(spool, segment))
                return segment;
        }
    }
    return NULL;
}

/* A failed one's file may lie on a bad part of the disk. What is kept saves zero-filling a new one.
 */
static bool is_worth_keeping(const struct spool *spool, const struct segment *segment)
{
    uint64_t wanted = segment->kind == STORE_LOG ? spool->options.segment_bytes
                                                 : spool->options.bulk_segment_bytes;
    return segment->state != SEGMENT_FAILED && segment->size_bytes == wanted &&
           spool_count_spares(spool, segment->kind) <
               spool->options.free_segments + spool->options.spare_segments;
}

/* First another number, then deleted: a crash between leaves a segment that is free by its number,
 * never one whose name comes back with its messages. */
static void recycle_run(struct spool_task *task)
{
    struct recycle *recycle = CONTAINER_OF(task, struct recycle, task);

    task->error = task->ops->recycle(recycle->segment->handle, recycle->new_number);
    if (task->error || !recycle->to_remove)
        return;
    struct store_segment *handle = recycle->segment->handle;
    recycle->segment->handle = NULL; /* the store frees it */
    (void)task->ops->remove(handle); /* what stays has no use, and the next start takes it */
}

static void renumber(struct spool *spool, struct segment *segment, uint64_t number)
{
    list_remove(&segment->link);
    segment->number = number;
    segment_set_state(segment, SEGMENT_SPARE);
    segment->end = 0;
    segment->has_trailer = false;
    segment->concerns_all = false;
    segment->concern_count = 0;
    segment->was_compacted = segment->is_told = segment->keeps_tail = false;
    segment->stuck_on = (struct id){0};
    segment->unworthy = segment->pause = 0;
    segment->scrubbed_us = 0;
    spool_insert_segment(spool, segment);
}

static void recycle_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct recycle *recycle = CONTAINER_OF(task, struct recycle, task);
    struct segment *segment = recycle->segment;

    (void)now_us;
    segment->is_compacting = false;
    if (task->error == 0)
        spool->counts.recycled++;
    /* After an error its name is uncertain: it is tried again, with a number of its own. */
    bool is_gone = task->error == 0 && recycle->to_remove;
    if (is_gone || (task->error && SPOOL_MUTANT == MUTANT_RENAME_FORGOTTEN))
        segment_free(segment, spool->ops);
    else if (task->error == 0)
        renumber(spool, segment, recycle->new_number);
    free(recycle);
}

/* The new number is taken now, so that two tasks never ask for the same one, and is lost if this
 * fails. */
struct spool_task *recycle_take(struct spool *spool)
{
    struct segment *segment = find_free(spool);
    struct recycle *recycle = segment ? calloc(1, sizeof(*recycle)) : NULL;
    uint64_t number = recycle ? spool_take_number(spool, segment->kind) : 0;

    if (!number) {
        free(recycle);
        return NULL;
    }
    task_init(&recycle->task, spool, recycle_run, recycle_finish);
    recycle->segment = segment;
    recycle->to_remove = !is_worth_keeping(spool, segment);
    recycle->new_number = number;
    segment->is_compacting = true;
    return &recycle->task;
}
