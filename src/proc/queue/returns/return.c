/*
 * Gathering: whose report is begun when, and with whom. The rest of its way is load.c's (envelope
 * and header), write.c's (the report) and book.c's (the outcome).
 */
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/undelivered.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/dsn.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/schedule.h"
#include <errno.h>

enum {
    GATHER_MS = 2000,     /* the longest wait for others of the message that are being attempted */
    RECEIPTS_MAX = 10000, /* each keeps its message's bytes … */
    RECEIPT_MS = 3600000, /* … and not for ever, when it can't be given */
    OPEN_MAX = 100,       /* beyond, what is given up waits … */
    BEHIND = 2048,        /* … and all attempts do … */
    STUCK_MS = 3000,      /* … unless for so long no report came to its end */
    FORGOTTEN_MS = 60000, /* until the next attempt of one that no memory was for */
};

/* One that is being read or written already has its recipients, and so has one that was split: what
 * fails now gets another. */
static struct undelivered *gathering_for(struct queue *q, const struct id *id,
                                         enum report_kind kind)
{
    struct undelivered *u = undelivered_find(q, id, kind);
    bool gathers = u && (u->state == UNDELIVERED_GATHERING || u->state == UNDELIVERED_EXPECTING);

    return gathers && !u->later && u->count < REPORT_RECIPIENTS_MAX ? u
                                                                    : undelivered_new(q, id, kind);
}

/* Others of the message may fail as well in a moment: one report tells of all. */
static bool expects_more(const struct undelivered *u)
{
    struct queue *q = u->queue;
    struct spool_message *message = spool_find(q->spool, &u->id);

    if (!message || u->count == REPORT_RECIPIENTS_MAX || q->closing ||
        io_loop_now_ms(q->loop) - u->since_ms > GATHER_MS)
        return false;
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        uint32_t item = schedule_item(&message->recipients[i]);
        struct sched_explanation e;
        if (!item)
            continue;
        sched_explain(q->sched, item, &e);
        if (e.state == SCHED_ACTIVE)
            return true;
    }
    return false;
}

static bool is_damaged(const struct undelivered *u)
{
    const struct spool_message *message = spool_find(u->queue->spool, &u->id);
    return message && message->flags & SPOOL_MESSAGE_DAMAGED;
}

/* Nobody can be told of what was in it: it stays held until an administrator removes it. Of who
 * isn't held yet the hold may not have come to the disk. It isn't read for that: as much as a
 * report takes of it may be sound. */
static void leave_damaged(struct undelivered *u)
{
    struct queue *q = u->queue;

    if (u->kind == REPORT_DELAYED) {
        undelivered_free(u);
        return;
    }
    spool_set_message_aside(q->spool, spool_find(q->spool, &u->id));
    committer_kick(&q->committer);
    undelivered_rest(u);
}

/* The recipients are looked at again at each step: an administrator may hold, release or remove
 * them meanwhile, and then nobody may be told that they failed. */
static void start(struct undelivered *u)
{
    bool receipt = undelivered_is_receipt(u);

    if (expects_more(u)) { /* the tick looks again, or who fails next */
        undelivered_set_state(u, UNDELIVERED_EXPECTING);
        return;
    }
    if (!undelivered_goes_on(u))
        return;
    if (!receipt && is_damaged(u)) {
        leave_damaged(u);
        return;
    }
    bool in_vain =
        (u->needs_report && !u->queue->returns->report) || (!receipt && u->queue->closing);
    if (in_vain || undelivered_load(u, undelivered_loaded) < 0)
        undelivered_rest(u);
}

static void on_kick(struct io_deferred *deferred)
{
    struct returns *returns = CONTAINER_OF(deferred, struct returns, kick);
    struct list *link;

    while (returns->busy < RETURNS_BUSY_MAX && (link = list_take_first(&returns->gathering)))
        start(CONTAINER_OF(link, struct undelivered, link));
}

/* ---- in and out ---- */

/* Who rests takes nobody's place, but without a report process all would only rest. */
bool returns_are_open(const struct queue *q)
{
    const struct returns_tally *failed = &q->returns->failed;

    return q->returns->report && failed->all - failed->resting < OPEN_MAX && returns_have_room(q);
}

bool returns_are_behind(const struct queue *q)
{
    const struct returns_tally *failed = &q->returns->failed;

    return failed->all - failed->resting >= BEHIND &&
           io_loop_now_ms(q->loop) - q->returns->ended_ms < STUCK_MS;
}

const char *returns_trouble(const struct queue *q)
{
    const struct returns *returns = q->returns;
    bool somebody = returns->failed.all || sched_may_have_expired(q->sched);

    return !returns->report && somebody ? "process"
           : !returns_have_room(q)      ? "full"
           : returns_are_behind(q)      ? "behind"
                                        : "none";
}

/* It has one recipient more: perhaps it expects no others now. */
static void look_again(struct undelivered *u)
{
    undelivered_set_state(u, UNDELIVERED_GATHERING);
    io_defer(u->queue->loop, &u->queue->returns->kick);
}

static void tell_forgotten(struct queue *q, struct spool_recipient *recipient)
{
    char id[ID_TEXT + 1];

    if (!log_is_due(&q->returns->forgotten, io_loop_now_ms(q->loop)))
        return;
    id_format(&spool_recipient_message(recipient)->id, id);
    log_error("%s: out of memory for the report to its sender: recipient %u is attempted again in "
              "a minute",
              id, recipient->index);
}

/* Nobody would know of him any more, so he gets a new item. Not for an attempt at once: a station
 * that refuses him would be asked again and again as long as memory is short. */
static void attempt_again(struct queue *q, struct spool_recipient *recipient)
{
    tell_forgotten(q, recipient);
    sched_remove(q->sched, schedule_item(recipient), io_loop_now_ms(q->loop));
    recipient->owner = 0;
    if (recipient->state != SPOOL_RECIPIENT_HELD) /* who has a time only when he is in doubt */
        recipient->next_attempt_us = clock_wall_us() + FORGOTTEN_MS * INT64_C(1000);
    schedule_added(q, spool_recipient_message(recipient));
}

bool return_to_sender(struct queue *q, struct spool_recipient *recipient,
                      const struct spool_status *cause)
{
    const struct id *id = &spool_recipient_message(recipient)->id;
    struct undelivered *u = gathering_for(q, id, REPORT_FAILED);

    if (!u || undelivered_add(u, cause) < 0) {
        if (u && !u->count)
            undelivered_free(u);
        attempt_again(q, recipient);
        return false;
    }
    look_again(u);
    return true;
}

/* The reader is opened at once: the message may go before its turn comes. */
static bool keep_message(struct undelivered *u, struct spool_message *message)
{
    return u->reader || spool_reader_open(u->queue->spool, message, &u->reader) == 0;
}

void return_receipt(struct queue *q, struct spool_message *message, enum report_kind kind,
                    const struct spool_status *what)
{
    struct undelivered *u =
        q->returns->receipts.all < RECEIPTS_MAX ? gathering_for(q, &message->id, kind) : NULL;

    if (!u || !keep_message(u, message) || undelivered_add(u, what) < 0) {
        log_warn("a receipt was left out: there are too many, or there is no memory");
        if (u && !u->count)
            undelivered_free(u);
        return;
    }
    look_again(u);
}

/* RFC 3461 5.2.7.3: of one that became several, "expanded" is all that its sender is told of
 * success. An alias of one address is no expansion to him. */
void return_expanded(struct queue *q, struct spool_message *message, const struct parcel *parcel)
{
    const struct envelope *e = &parcel->envelope;
    struct wish_source source = {e, parcel->expansions, parcel->expansion_count};

    if (!e->wish_count || !wish_may_have_receipts(q->conf, e))
        return;
    for (size_t i = 0; i < parcel->expansion_count; i++) {
        uint32_t parent = parcel->expansions[i].parent;
        struct spool_status what = {.recipient = parent,
                                    .time_us = e->accepted_us,
                                    .status = SPAN("2.1.5"),
                                    .reply = SPAN(""),
                                    .host = SPAN(""),
                                    .detail = SPAN("")};
        if (parcel->expansions[i].child_count > 1 &&
            dsn_wants(wish_find(&source, parent).notify, ENVELOPE_NOTIFY_SUCCESS))
            return_receipt(q, message, REPORT_EXPANDED, &what);
    }
}

/* A receipt is no loss of mail, but it keeps its message's bytes on the disk. At the end of the
 * process all others are left to the next one (returns_close()). */
static void wake(struct undelivered *u)
{
    struct queue *q = u->queue;
    bool receipt = undelivered_is_receipt(u);
    bool comes = u->needs_report && q->returns->report; /* what it waited for */

    if (q->closing && !receipt)
        return;
    if (receipt && io_loop_now_ms(q->loop) - u->since_ms > RECEIPT_MS) {
        log_warn("a receipt is left out: for an hour it couldn't be given");
        undelivered_free(u);
        return;
    }
    if (comes)
        u->needs_report = false;
    if (comes || --u->ticks == 0)
        undelivered_set_state(u, UNDELIVERED_GATHERING);
}

void returns_tick(struct queue *q)
{
    struct returns *returns = q->returns;

    LIST_EACH(&returns->resting, link)
    wake(CONTAINER_OF(link, struct undelivered, link));
    LIST_EACH(&returns->expecting, link)
    undelivered_set_state(CONTAINER_OF(link, struct undelivered, link), UNDELIVERED_GATHERING);
    if (!list_is_empty(&returns->gathering))
        io_defer(q->loop, &returns->kick);
    if (returns->failed.all >= BEHIND)
        dispatch_kick(q); /* perhaps they are stuck by now */
}

/* Whose report is on its way to the disk are told of, held or not. */
static bool book_held(const struct list *list)
{
    bool all = true;

    LIST_EACH(list, link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, link);
        all &= u->state == UNDELIVERED_KEEPING || undelivered_put_held_aside(u);
    }
    return all;
}

bool returns_close(struct queue *q)
{
    const struct returns *returns = q->returns;
    bool all = book_held(&returns->gathering);

    all &= book_held(&returns->expecting);
    all &= book_held(&returns->under_way);
    all &= book_held(&returns->resting);
    return all;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct queue *q = owner;

    if (q->returns->report == channel)
        q->returns->report = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_role report_role = {.peer_name = "report", .lost = on_lost};

int returns_report(struct queue *q, int fd)
{
    struct ipc_channel *old = q->returns->report;
    int r = ipc_channel_new(q->loop, fd, &report_role, q, &q->returns->report);

    if (r == 0) {
        ipc_channel_read_out(old);
        ipc_channel_free(old);
    }
    dispatch_kick(q); /* more may be given up now */
    return r;
}

void returns_init(struct queue *q, uint64_t seed)
{
    struct returns *returns = q->returns;

    list_init(&returns->gathering);
    list_init(&returns->expecting);
    list_init(&returns->under_way);
    list_init(&returns->resting);
    for (size_t i = 0; i < RETURNS_BUCKETS; i++)
        list_init(&returns->buckets[i]);
    kept_init(returns);
    returns->seed = seed;
    returns->kick.fn = on_kick;
}

static void free_all(struct list *list)
{
    struct list *link;

    while ((link = list_take_first(list)))
        undelivered_free(CONTAINER_OF(link, struct undelivered, link));
}

void returns_done(struct queue *q)
{
    struct ipc_channel *report = q->returns->report;

    q->returns->report = NULL;
    ipc_channel_free(report);
    free_all(&q->returns->gathering);
    free_all(&q->returns->expecting);
    free_all(&q->returns->under_way);
    free_all(&q->returns->resting);
    kept_done(q->returns);
    io_defer_cancel(&q->returns->kick);
}
