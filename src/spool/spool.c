/*
 * The owner's side: open and close, segments by number, what is found damaged, and whether new mail
 * may come. Each stage of the way to the disk has a file of its own (README.md).
 */
#include "spool/lane.h"
#include "spool/mutant.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* What a server uses. Tests choose far smaller ones, so that few operations meet every border. */
const struct spool_options spool_options_default = {
    .segment_bytes = 64ull << 20,
    .bulk_segment_bytes = 64ull << 20,
    .block_bytes = 4096,
    .group_bytes = 4u << 20,
    .extent_bytes = 256u << 10,
    .inline_bytes = 64u << 10,
    .pending_bytes = 32u << 20,
    .upload_bytes = 32u << 20,
    .ahead_bytes = 4u << 20,
    .recent_bytes = 32u << 20,
    .spare_segments = 1,
    .reserve_bytes = 256ull << 20,
    .reserve_inodes = 100,
    .book_alarm_segments = 16,
    .book_limit_segments = 256,
    .checkpoint_segments = 4,
    .checkpoint_rows = 16384,
    .compact_percent = 50,
    .keep_segments = 4,
    .free_segments = 4,
    .retry_us = 1000000,
    .scrub_interval_us = 7ll * 24 * 3600 * 1000000,
};

static int random_from_kernel(void *arg, void *out, size_t size)
{
    (void)arg;
    return getrandom(out, size, 0) == (ssize_t)size ? 0 : -errno;
}

/* What the formats rely on: offsets of 32 bits, blocks of a power of two, a place
 * for each extent. */
static int check_options(const struct spool_options *o)
{
    uint32_t block = o->block_bytes;

    if (block < 512 || (block & (block - 1)) || o->segment_bytes % block ||
        o->bulk_segment_bytes % block || o->extent_bytes % block || o->extent_bytes == 0)
        return -EINVAL;
    if (o->segment_bytes > 1ull << 30 || o->segment_bytes < 16ull * block ||
        o->bulk_segment_bytes < o->extent_bytes || o->bulk_segment_bytes > 1ull << 32)
        return -EINVAL;
    return 0;
}

static void init_lists(struct spool *spool)
{
    list_init(&spool->segments[STORE_LOG]);
    list_init(&spool->segments[STORE_BULK]);
    list_init(&spool->blocks);
    list_init(&spool->free_blocks);
    list_init(&spool->alarms);
    list_init(&spool->uploads);
    list_init(&spool->bulk_writes);
    list_init(&spool->moves);
    list_init(&spool->restates);
    recent_init(&spool->recent, spool->options.extent_bytes, spool->options.recent_bytes);
}

static void free_segments(struct spool *spool)
{
    for (int kind = 0; kind < 2; kind++) {
        while (!list_is_empty(&spool->segments[kind]))
            segment_free(CONTAINER_OF(spool->segments[kind].next, struct segment, link),
                         spool->ops);
    }
}

/* Tasks and works first: they point to segments and rows. The store last, for all the others close
 * their handles by it. */
static void free_spool(struct spool *spool)
{
    struct list *link;

    checkpoint_close(spool);
    compact_close(spool);
    index_done(&spool->index);
    free_segments(spool);
    while (!list_is_empty(&spool->blocks))
        append_block_free(spool, CONTAINER_OF(spool->blocks.next, struct block, link));
    while ((link = list_take_first(&spool->free_blocks)) != NULL)
        free(CONTAINER_OF(link, struct block, link));
    while ((link = list_take_first(&spool->alarms)) != NULL)
        free(CONTAINER_OF(link, struct alarm, link));
    free(spool->frame);
    free(spool->damage.rows);
    recent_done(&spool->recent);
    spool->ops->close(spool->store);
    free(spool);
}

/* The lane is locked before a byte is read: two owners of one log would each seal over the other.
 */
int spool_open(struct store *store, const struct spool_options *options, int64_t now_us,
               struct spool **out, struct spool_obstacle *out_obstacle)
{
    struct spool *spool = calloc(1, sizeof(*spool));
    struct spool_obstacle unasked;
    int r;

    out_obstacle = out_obstacle ? out_obstacle : &unasked;
    *out_obstacle = (struct spool_obstacle){""};
    if (!spool) {
        store->ops->close(store);
        return -ENOMEM;
    }
    spool->store = store;
    spool->ops = store->ops;
    spool->options = options ? *options : spool_options_default;
    spool->now_us = now_us;
    if (!spool->options.random)
        spool->options.random = random_from_kernel;
    init_lists(spool);
    r = check_options(&spool->options);
    if (r == 0)
        r = spool->ops->open_lane(store, false);
    if (r == 0) {
        ended_take(spool);
        r = recovery_run(spool, out_obstacle);
        ended_check(spool);
    }
    if (r < 0) {
        free_spool(spool);
        return r;
    }
    *out = spool;
    return 0;
}

/* Without hooks: the owner is about to go and wants to hear of nothing but the appends that it has
 * asked for. */
void spool_close(struct spool *spool)
{
    if (!spool)
        return;
    spool->hooks = (struct spool_hooks){0};
    bulk_close(spool);
    LIST_EACH(&spool->blocks, link)
    {
        struct block *block = CONTAINER_OF(link, struct block, link);
        while (!list_is_empty(&block->units))
            append_fail_unit(spool, CONTAINER_OF(block->units.next, struct unit, link), -ECANCELED);
    }
    free_spool(spool);
}

void spool_set_hooks(struct spool *spool, const struct spool_hooks *hooks)
{
    spool->hooks = *hooks;
}

int spool_random(struct spool *spool, void *out, size_t size)
{
    return spool->options.random(spool->options.random_arg, out, size);
}

/* When the clock was set back what waits for a time would wait for as long in addition, up to for
 * ever: it is moved along. */
void spool_tell_time(struct spool *spool, int64_t now_us)
{
    int64_t back_us = spool->now_us - now_us;

    spool->now_us = now_us;
    if (back_us <= 0)
        return;
    spool->retry_at_us -= back_us;
    spool->tasks_next_us -= back_us;
    for (int kind = 0; kind < TASK_KINDS; kind++)
        spool->task_retry_us[kind] -= back_us;
}

/* ---- Segments ---- */

struct segment *spool_segment(const struct spool *spool, enum store_kind kind, uint64_t number)
{
    LIST_EACH(&spool->segments[kind], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (segment->number == number)
            return segment;
    }
    return NULL;
}

/* A spare below a number that was used already must stay unused: the chain of segments only goes
 * up, and recovery would pass it over. */
bool spool_is_spare(const struct spool *spool, const struct segment *segment)
{
    uint64_t used =
        SPOOL_MUTANT == MUTANT_OLD_SPARE_USED ? spool->sealed.segment : spool->used_number;
    return segment->state == SEGMENT_SPARE && segment->number > used;
}

struct segment *spool_next_spare(const struct spool *spool)
{
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        struct segment *segment = CONTAINER_OF(link, struct segment, link);
        if (spool_is_spare(spool, segment))
            return segment;
    }
    return NULL;
}

uint32_t spool_count_spares(const struct spool *spool, enum store_kind kind)
{
    uint32_t count = 0;

    LIST_EACH(&spool->segments[kind], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        count +=
            kind == STORE_LOG ? spool_is_spare(spool, segment) : segment->state == SEGMENT_SPARE;
    }
    return count;
}

/* By number, from the end: new ones are the highest. The highest number ever is kept, since a
 * number is never used twice, also not after its segment is gone. */
void spool_insert_segment(struct spool *spool, struct segment *segment)
{
    struct list *after = &spool->segments[segment->kind];

    while (after->prev != &spool->segments[segment->kind] &&
           CONTAINER_OF(after->prev, struct segment, link)->number > segment->number)
        after = after->prev;
    list_append(after, &segment->link);
    if (segment->number > spool->last_number[segment->kind])
        spool->last_number[segment->kind] = segment->number;
}

uint64_t spool_take_number(struct spool *spool, enum store_kind kind)
{
    return spool->last_number[kind] < SEGMENT_NUMBER_MAX ? ++spool->last_number[kind] : 0;
}

/* ---- Messages ---- */

/* What isn't sealed doesn't exist yet for anybody outside: after a crash it wouldn't. */
struct spool_message *spool_find(struct spool *spool, const struct id *id)
{
    struct spool_message *message = index_find(&spool->index, id);
    return message && !(message->flags & SPOOL_MESSAGE_UNSEALED) ? message : NULL;
}

struct spool_recipient *spool_find_recipient(struct spool_message *message, uint32_t index)
{
    return index_recipient(message, index);
}

/* The lane is random and its own, so strangers can't choose hashes that depend on it. */
void spool_set_lane(struct spool *spool, const uint8_t lane[static SEGMENT_LANE_BYTES])
{
    memcpy(spool->lane, lane, sizeof(spool->lane));
    spool->index.seed = record_sum(span_of((const char *)lane, SEGMENT_LANE_BYTES));
}

uint32_t spool_sender_hash(const struct spool *spool, struct span sender)
{
    return index_sender_hash(&spool->index, sender);
}

struct span spool_domain(const struct spool *spool, uint32_t domain)
{
    return domains_name(&spool->index.domains, domain);
}

/* A row goes when nothing waits, nobody works with it and it is sealed; each of the three that ends
 * comes here, the last one frees. */
void spool_drop_message(struct spool *spool, struct spool_message *message)
{
    if (message->waiting || message->pins || message->flags & SPOOL_MESSAGE_UNSEALED)
        return;
    if (spool->hooks.gone)
        spool->hooks.gone(spool->hooks.arg, message);
    index_remove(&spool->index, message);
    index_free_message(&spool->index, message);
}

/* ---- Damage (rule 8) ---- */

/* The alarm goes into the log for the book; the row stays in memory for who asks. Without memory
 * for the row the alarm is still told. */
void spool_note_damage(struct spool *spool, struct spool_position position,
                       const struct id *message, const char *what)
{
    struct damage_list *list = &spool->damage;
    struct spool_damage *rows = reallocarray(list->rows, list->count + 1, sizeof(*rows));

    append_alarm(spool, SPOOL_ALARM_DAMAGE, message, position, "%s", what);
    if (!rows)
        return;
    list->rows = rows;
    struct spool_damage *row = &list->rows[list->count++];
    *row = (struct spool_damage){.position = position, .what = what};
    if (message)
        row->message = *message;
}

/* Held, not removed: an administrator may have a backup of the bytes, and the sender was told that
 * we have the message. Told once, held as often as it is needed. */
void spool_set_message_aside(struct spool *spool, struct spool_message *message)
{
    static const char what[] = "the message's bytes are damaged";
    struct spool_position position = {index_home(message) ? index_home(message)->number : 0,
                                      message->offset};

    if (!(message->flags & SPOOL_MESSAGE_DAMAGED)) {
        message->flags |= SPOOL_MESSAGE_DAMAGED;
        spool->index.set_aside++;
        spool_note_damage(spool, position, &message->id, what);
    }
    if (message->pins) /* an outcome is on its way: whoever reads it again comes here again */
        return;
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct spool_recipient *r = &message->recipients[i];
        struct spool_status status = {.recipient = r->index,
                                      .outcome = SPOOL_OUTCOME_HELD,
                                      .attempts = r->attempts,
                                      .time_us = spool->now_us,
                                      .next_attempt_us = r->next_attempt_us,
                                      .detail = span_from_cstr(what)};
        if (r->state == SPOOL_RECIPIENT_WAITING)
            spool_status(spool, message, &status, 1, NULL, NULL);
    }
}

size_t spool_damage_count(const struct spool *spool)
{
    return spool->damage.count;
}

const struct spool_damage *spool_damage_at(const struct spool *spool, size_t index)
{
    return index < spool->damage.count ? &spool->damage.rows[index] : NULL;
}

bool spool_has_tail(const struct spool *spool, struct spool_position *out_position)
{
    *out_position = spool->tail;
    return spool->tail.segment != 0;
}

/* ---- The book, counts, pressure ---- */

struct spool_position spool_sealed_position(const struct spool *spool)
{
    return spool->sealed;
}

/* Recycling goes by what the book has now, and that goes back when its ledger is made anew. The lag
 * doesn't: it is there so that the log can't grow without a book, and what a book reads once more
 * lies there anyhow. As long as no book has said a word it counts from the start. */
void spool_book_synced(struct spool *spool, struct spool_position position)
{
    bool is_first = position.segment && !spool->is_book_heard;

    if (is_first || spool_position_compare(position, spool->book_furthest) > 0)
        spool->book_furthest = position;
    spool->is_book_heard |= is_first;
    spool->book = position;
    spool->tasks_due = true;
    spool_count_lag(spool);
}

/* One alarm each time the book falls behind, not one for each segment; it is armed again when the
 * book has caught up. */
void spool_count_lag(struct spool *spool)
{
    uint32_t lag = 0;

    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        const struct segment *segment = CONTAINER_OF(link, struct segment, link);
        struct spool_position end = {segment->number, segment->end};
        if (segment->state == SEGMENT_CLOSED &&
            spool_position_compare(end, spool->book_furthest) > 0)
            lag++;
    }
    spool->book_lag = lag;
    if (lag < spool->options.book_alarm_segments) {
        spool->lag_alarmed = false;
    } else if (!spool->lag_alarmed) {
        spool->lag_alarmed = true;
        append_alarm(spool, SPOOL_ALARM_LAG, NULL, spool->book_furthest, "%u segments", lag);
    }
}

static bool is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

/* The worst first: the caller tells one reason. */
static enum spool_pressure pressure(const struct spool *spool, const char **out_reason)
{
    const struct spool_options *o = &spool->options;

    /* One failure is answered by another segment; a second one in a row is the disk's. */
    if (spool->failures > 1 ||
        (spool->prepare_error && !is_full(spool->prepare_error) && !spool_next_spare(spool))) {
        *out_reason = "the spool's disk fails";
        return SPOOL_PRESSURE_FAILED;
    }
    /* Before the room for a segment: without inodes none can be made either. */
    if (spool->space.free_inodes < o->reserve_inodes) {
        *out_reason = "the spool's disk is nearly out of inodes";
        return SPOOL_PRESSURE_FULL;
    }
    if (is_full(spool->prepare_error) && !spool_next_spare(spool)) {
        *out_reason = spool->prepare_error == -EDQUOT
                          ? "the spool's owner has no quota left for another file"
                          : "the spool's disk has no room for another file";
        return SPOOL_PRESSURE_ROOM;
    }
    if (spool->space.free_bytes < o->reserve_bytes) {
        *out_reason = "the spool's disk is nearly full";
        return SPOOL_PRESSURE_FULL;
    }
    if (spool->book_lag >= o->book_limit_segments) {
        *out_reason = "the book is too far behind";
        return SPOOL_PRESSURE_BOOK;
    }
    if (spool->pending_bytes > o->pending_bytes) {
        *out_reason = "the spool's disk doesn't keep up";
        return SPOOL_PRESSURE_BUSY;
    }
    *out_reason = "";
    return SPOOL_PRESSURE_NONE;
}

enum spool_pressure spool_pressure(const struct spool *spool, const char **out_reason)
{
    const char *reason;
    enum spool_pressure p = pressure(spool, &reason);

    if (out_reason)
        *out_reason = reason;
    return p;
}

void spool_get_room(const struct spool *spool, struct spool_room *out)
{
    *out = (struct spool_room){.free_bytes = spool->space.free_bytes,
                               .reserve_bytes = spool->options.reserve_bytes,
                               .segment_bytes = spool->options.segment_bytes};
}

void spool_set_reserve(struct spool *spool, uint64_t bytes)
{
    spool->options.reserve_bytes = bytes;
}

static void count_segments(const struct spool *spool, struct spool_counts *out)
{
    LIST_EACH(&spool->segments[STORE_LOG], link)
    {
        if (CONTAINER_OF(link, struct segment, link)->state == SEGMENT_SPARE)
            out->spare_segments++;
        else
            out->log_segments++;
    }
    LIST_EACH(&spool->segments[STORE_BULK], link)
    out->bulk_segments++;
}

void spool_get_counts(const struct spool *spool, struct spool_counts *out)
{
    *out = spool->counts;
    out->messages = spool->index.messages;
    out->waiting = spool->index.waiting;
    out->held = spool->index.held;
    out->unsealed = spool->index.unsealed;
    out->set_aside = spool->index.set_aside;
    out->memory_bytes = index_memory(&spool->index);
    out->pending_bytes = spool->pending_bytes;
    out->book_lag_segments = spool->book_lag;
    count_segments(spool, out);
}
