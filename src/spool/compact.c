/*
 * choose ──▶ SCAN (log only: a thread) ──▶ MOVE: load a batch (a thread) ──▶ bulk: copy (a thread)
 *                  └─ unworthy: end           ▲      │                              │
 *                                             └──────┴─ moves wait for groups ◀─────┘
 *                                                       all sealed: RESTATE, wait for groups: end
 *
 * One compaction at a time. It is driven by compact_take(), which is asked whenever something
 * happened that may have made work; what is under way is counted in `outstanding`.
 */
#include "spool/compact.h"

#include "spool/mutant.h"
#include <errno.h>
#include <stdlib.h>

/* Messages read by one task, and read but not sealed: their data lies in memory. */
enum { LOAD_BATCH = 32, LOAD_AHEAD = 128 };

/* ---- Choosing ---- */

static uint32_t count_used(const struct spool *spool, enum store_kind kind)
{
    uint32_t count = 0;
    LIST_EACH(&spool->segments[kind], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        count += kind == STORE_LOG ? segment->state != SEGMENT_SPARE : segment->live_messages > 0;
    }
    return count;
}

static bool is_mostly_dead(const struct spool *spool, const struct segment *segment)
{
    return segment->live_bytes * 100 <= segment->end * spool->options.compact_percent;
}

/* One that couldn't be recycled afterwards (the book lags, a checkpoint needs it) isn't touched:
 * moving would only write more. */
static bool log_is_worth_it(const struct spool *spool, const struct segment *segment, uint32_t used)
{
    bool has_something = segment->live_messages || segment->concern_count || segment->concerns_all;

    if (!has_something)
        return false;
    /* Rule 6: whether or not the book has folded it, for the disk under it is in doubt. */
    if (segment->state == SEGMENT_FAILED)
        return segment->number < spool->sealed.segment;
    return used > spool->options.keep_segments && is_mostly_dead(spool, segment) &&
           recycle_may_come(spool, segment);
}

static bool bulk_is_worth_it(const struct spool *spool, const struct segment *segment,
                             uint32_t used)
{
    if (segment->live_messages == 0)
        return false;
    return segment->state == SEGMENT_FAILED ||
           (segment->state == SEGMENT_CLOSED && used > spool->options.keep_segments &&
            is_mostly_dead(spool, segment));
}

static struct segment *choose_behind(const struct spool *spool, const uint64_t behind[2])
{
    for (int kind = 0; kind < 2; kind++) {
        uint32_t used = count_used(spool, (enum store_kind)kind);
        LIST_EACH(&spool->segments[kind], link)
        {
            struct segment *segment = CONTAINER_OF(link, struct segment, link);
            if (segment->number <= behind[kind] || segment->is_compacting || segment->was_compacted)
                continue;
            if (kind == STORE_LOG ? log_is_worth_it(spool, segment, used)
                                  : bulk_is_worth_it(spool, segment, used))
                return segment;
        }
    }
    return NULL;
}

/* The oldest first: what concerns it lies in later ones, which can go only after it. After a
 * failure those behind, of both kinds, before any is tried again: bad places on the disk, however
 * many, keep no other segment for good. */
static struct segment *choose(struct spool *spool)
{
    struct segment *segment = choose_behind(spool, spool->compact_failed);

    if (segment || !(spool->compact_failed[STORE_LOG] || spool->compact_failed[STORE_BULK]))
        return segment;
    spool->compact_failed[STORE_LOG] = spool->compact_failed[STORE_BULK] = 0;
    return choose_behind(spool, spool->compact_failed);
}

/* ---- Loading messages that are to be moved ---- */

struct load_task {
    struct spool_task task;
    struct compaction *compaction;
    struct move *moves[LOAD_BATCH];
    int errors[LOAD_BATCH];
    size_t count;
};

static void load_run(struct spool_task *task)
{
    struct load_task *load = CONTAINER_OF(task, struct load_task, task);
    const struct spool_stored *stored;

    for (size_t i = 0; i < load->count; i++) {
        struct move *move = load->moves[i];
        load->errors[i] = spool_reader_load(move->reader, &stored);
        if (load->errors[i] == 0 && move->lives_elsewhere)
            load->errors[i] = reader_load_restated(move->reader);
    }
}

static bool is_restated(const struct spool_reader *reader, uint64_t home)
{
    for (size_t i = 0; i < reader->restated_count; i++) {
        if (reader->restated[i] == home)
            return true;
    }
    return reader->meta.from.segment == home;
}

/* Does the home of a message that lives elsewhere lack a word of one of its older records? */
static bool lacks_a_word(struct compaction *c, const struct spool_reader *reader)
{
    bool must = false;
    size_t count;
    struct compact_entry *concerns = compact_concerns(c, &reader->id, &count);

    for (size_t i = 0; i < count; i++) {
        concerns[i].is_said = is_restated(reader, concerns[i].home);
        must |= !concerns[i].is_said && concerns[i].home != reader->home->number;
    }
    return must;
}

static bool must_move(struct compaction *c, const struct move *move)
{
    const struct spool_reader *reader = move->reader;
    uint64_t bytes = record_bytes(reader->meta_bytes, reader->data.size);

    if (!move->lives_elsewhere)
        return true;
    if (!lacks_a_word(c, reader))
        return false;
    c->is_unworthy |= bytes > c->room;
    c->room -= bytes < c->room ? bytes : c->room;
    return !c->is_unworthy;
}

/* Not of one that lives elsewhere on a bad part of the disk: the victim is stuck on it then, and
 * doesn't hold up those after it. */
static bool is_worth_a_try(const struct move *move, int error)
{
    return error == -ENOMEM || (error < 0 && error != -EBADMSG && !move->lives_elsewhere);
}

/* A damaged message is set aside when its reader closes, and stays where it is. */
static void load_finish(struct spool *spool, struct spool_task *task, int64_t now_us)
{
    struct load_task *load = CONTAINER_OF(task, struct load_task, task);
    struct compaction *c = load->compaction;

    (void)now_us;
    for (size_t i = 0; i < load->count; i++) {
        struct move *move = load->moves[i];
        if (load->errors[i] < 0 || !must_move(c, move)) {
            c->has_failed |= is_worth_a_try(move, load->errors[i]);
            c->was_unread |= load->errors[i] < 0 && move->lives_elsewhere;
            move_free(spool, move);
            c->outstanding--;
        } else if (c->victim->kind == STORE_BULK) {
            list_append(&c->copies, &move->link);
        } else {
            list_append(&spool->moves, &move->link);
        }
    }
    free(load);
}

/* A reader pins the old home: it isn't recycled before the move is sealed. */
static struct move *new_move(struct spool *spool, struct compaction *c,
                             const struct compact_entry *entry)
{
    struct spool_message *message = spool_find(spool, &entry->id);
    bool lives_elsewhere = c->victim->kind == STORE_LOG && !entry->offset;

    if (!message || message->flags & SPOOL_MESSAGE_DAMAGED ||
        (c->victim->kind == STORE_LOG && !lives_elsewhere && index_home(message) != c->victim))
        return NULL; /* it went meanwhile */
    struct move *move = calloc(1, sizeof(*move));
    if (move && spool_reader_open(spool, message, &move->reader) == 0) {
        move->lives_elsewhere = lives_elsewhere;
        return move;
    }
    free(move);
    c->has_failed = true;
    return NULL;
}

static struct spool_task *load_take(struct spool *spool, struct compaction *c)
{
    struct load_task *load = calloc(1, sizeof(*load));

    if (!load)
        return NULL;
    task_init(&load->task, spool, load_run, load_finish);
    load->compaction = c;
    while (c->next < c->messages.count && load->count < LOAD_BATCH) {
        struct move *move = new_move(spool, c, &c->messages.rows[c->next++]);
        if (move)
            load->moves[load->count++] = move;
    }
    c->outstanding += load->count;
    return &load->task;
}

/* ---- From the beginning to the end ---- */

static int find_messages(struct spool *spool, struct compaction *c)
{
    if (c->victim->kind == STORE_LOG)
        return 0; /* the scan does */
    c->stage = COMPACT_MOVE;
    return bulk_copy_find(spool, c->victim, &c->messages);
}

static struct compaction *begin(struct spool *spool, struct segment *victim)
{
    struct compaction *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->victim = victim;
    list_init(&c->copies);
    if (find_messages(spool, c) < 0) {
        free(c->messages.rows);
        free(c);
        return NULL;
    }
    victim->is_compacting = true;
    victim->stuck_on = (struct id){0};
    return c;
}

static void free_moves(struct spool *spool, struct list *list)
{
    while (!list_is_empty(list))
        move_free(spool, CONTAINER_OF(list->next, struct move, link));
}

void compact_close(struct spool *spool)
{
    struct compaction *c = spool->compaction;
    struct list *link;

    free_moves(spool, &spool->moves);
    while ((link = list_take_first(&spool->restates)) != NULL)
        free(CONTAINER_OF(link, struct restate, link));
    if (!c)
        return;
    free_moves(spool, &c->copies);
    free(c->messages.rows);
    free(c->concerns.rows);
    free(c);
    spool->compaction = NULL;
}

/* Messages whose records the scan didn't find can't be read either. They keep the segment from
 * going, and people may want to look at it. */
static void set_aside_the_rest(struct spool *spool, struct segment *victim)
{
    for (size_t i = 0; i < spool->index.bucket_count; i++) {
        for (struct spool_message *m = index_first(&spool->index, i); m;
             m = index_next(&spool->index, m)) {
            if (index_home(m) != victim)
                continue;
            spool_set_message_aside(spool, m);
            victim->stuck_on = m->id;
        }
    }
}

/* Is it about a message that waits and whose home doesn't say it, for it couldn't be moved? Only
 * the victim's own record keeps that one's older records from coming back to life then. */
static bool is_held_by_victim(struct spool *spool, const struct compact_entry *concern)
{
    const struct spool_message *m = spool_find(spool, &concern->id);
    const struct segment *home = m ? index_home(m) : NULL;

    return m && !concern->is_said && (!home || home->number != concern->home) &&
           recycle_exists(spool, concern->home) && SPOOL_MUTANT != MUTANT_RESTATED_APART;
}

/* Of messages that are gone, or live where the record is that it is about. A segment that stays
 * needn't have it said elsewhere, unless the disk under it is in doubt (rule 6). */
static void restate_rest(struct spool *spool, struct compaction *c)
{
    struct segment *victim = c->victim;
    bool went_through = !c->is_unworthy && !c->has_failed;

    c->stage = COMPACT_RESTATE;
    if (went_through && victim->kind == STORE_LOG && victim->live_messages)
        set_aside_the_rest(spool, victim);
    for (size_t i = 0; i < c->concerns.count; i++) {
        if (is_held_by_victim(spool, &c->concerns.rows[i]))
            victim->stuck_on = c->concerns.rows[i].id;
    }
    bool goes = went_through && id_is_zero(&victim->stuck_on);
    for (size_t i = 0; i < c->concerns.count && (goes || victim->state == SEGMENT_FAILED); i++) {
        const struct compact_entry *concern = &c->concerns.rows[i];
        if (!concern->is_said && !is_held_by_victim(spool, concern) &&
            restate_new(spool, &concern->id, concern->home) < 0)
            c->has_failed = true;
    }
}

/* The longer it wasn't worth it, the longer until it is looked at again: with many such segments
 * each checkpoint would else read the whole log. */
static void set_pause(struct segment *victim, bool is_unworthy)
{
    enum { UNWORTHY_MAX = 6 };

    if (!is_unworthy)
        victim->unworthy = 0;
    else if (victim->unworthy < UNWORTHY_MAX)
        victim->unworthy++;
    victim->pause = victim->unworthy ? (uint8_t)((1u << (victim->unworthy - 1)) - 1) : 0;
}

/* All that was in it lives elsewhere now, or was damaged; or it stays, and all that it says with
 * it. */
static void end(struct spool *spool, struct compaction *c)
{
    struct segment *victim = c->victim;
    bool went_through = !c->is_unworthy && !c->has_failed;

    victim->is_compacting = false;
    /* Also when it wasn't worth it: a checkpoint lets it be tried again (checkpoint_task.c). */
    victim->was_compacted = !c->has_failed;
    set_pause(victim, c->is_unworthy);
    bool is_done = went_through && id_is_zero(&victim->stuck_on);
    if (c->was_unread) /* by then it may be read */
        victim->stuck_on = (struct id){0};
    if (c->has_failed)
        spool->compact_failed[victim->kind] = victim->number;
    if (c->has_failed)
        spool->task_retry_us[TASK_COMPACT] = spool->now_us + SPOOL_PAUSES * spool->options.retry_us;
    if (is_done && victim->kind == STORE_LOG) {
        victim->concern_count = 0;
        victim->concerns_all = false;
    }
    spool->counts.compacted += went_through;
    spool->tasks_due = true; /* now it may be recycled */
    compact_close(spool);
}

/* What it has moved stays moved. It is tried again after a pause. */
void compact_give_up(struct spool *spool)
{
    struct compaction *c = spool->compaction;

    spool->bulk_wanted = 0;
    if (!c)
        return;
    while (!list_is_empty(&c->copies)) {
        move_free(spool, CONTAINER_OF(c->copies.next, struct move, link));
        c->outstanding--;
    }
    c->next = c->messages.count;
    c->has_failed = true;
}

/* NULL while what was loaded waits for its groups: each group that is finished asks again. */
struct spool_task *compact_take(struct spool *spool)
{
    struct compaction *c = spool->compaction;

    if (!c) {
        struct segment *victim = choose(spool);
        c = spool->compaction = victim ? begin(spool, victim) : NULL;
    }
    if (!c)
        return NULL;
    if (c->stage == COMPACT_SCAN)
        return compact_scan_new(spool, c);
    if (!list_is_empty(&c->copies))
        return bulk_copy_take(spool, c);
    if (c->next < c->messages.count)
        return c->outstanding < LOAD_AHEAD ? load_take(spool, c) : NULL;
    if (c->outstanding == 0 && c->stage == COMPACT_MOVE)
        restate_rest(spool, c);
    if (c->outstanding == 0)
        end(spool, c);
    return NULL;
}
