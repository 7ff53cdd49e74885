/*
 * What results mean: for the scheduler (when again, how is the destination) and for the spool (what
 * is booked). The scheduler first: it decides what a failure leads to.
 *
 * A recipient that failed for good, or whose time is up, goes back to its sender (return.h).
 */
#include "proc/queue/carry/outcome.h"

#include "base/clock.h"
#include "base/log.h"
#include "dns/ip.h"
#include "mail/event.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/core/mutant.h"
#include "proc/queue/core/schedule.h"
#include "proc/queue/core/settle.h"
#include "proc/queue/returns/return.h"
#include <stdio.h>
#include <string.h>

enum { EXPIRY_SLICE = 200, EXPIRY_LOOKS = 1 << 14 };
enum { DOUBTS_MAX = 20000 }; /* that are booked at an end, which may not take long */

/* At most three for each item: what a crash left open, what happened, and that it is held or given
 * up. */
struct outcomes {
    struct spool_status statuses[3 * IPC_JOB_RECIPIENTS_MAX];
    size_t count;
    const struct carrier *carrier; /* NULL: it didn't come so far */
    struct settlement *settlement; /* likewise */
};

static struct spool_status *add(struct outcomes *o, const struct spool_recipient *r,
                                enum spool_outcome outcome)
{
    struct spool_status *s = &o->statuses[o->count++];

    *s = (struct spool_status){.recipient = r->index,
                               .outcome = (uint8_t)outcome,
                               .attempts = (uint16_t)(r->attempts + 1),
                               .time_us = clock_wall_us()};
    return s;
}

static bool comes_from_mailbox(const struct outcomes *o)
{
    return o->carrier && carrier_is_mailbox(o->carrier);
}

/* What the station said. */
static void describe(const struct queue *q, const struct outcomes *o, struct spool_status *s,
                     const struct ipc_job_outcome *from)
{
    struct dns_ip ip = {0};

    s->status = from->status;
    s->reply = from->text;
    s->host = comes_from_mailbox(o) ? q->conf->hostname : from->host;
    s->remote_id = from->remote_id;
    if (from->ip.size && ip_parse(from->ip, ip.bytes) == 0)
        memcpy(s->ip, ip.bytes, sizeof(s->ip));
}

/* And what the stations before it said; a report to the sender leaves that out. */
static void describe_all(const struct queue *q, const struct outcomes *o, struct spool_status *s,
                         const struct ipc_job_outcome *from)
{
    describe(q, o, s, from);
    s->detail = from->earlier;
}

static enum sched_result open_result(const struct ipc_job_outcome *from)
{
    static const enum sched_result results[] = {
        [IPC_SCOPE_RECIPIENT] = SCHED_RESULT_RECIPIENT,
        [IPC_SCOPE_DESTINATION] = SCHED_RESULT_DESTINATION,
        [IPC_SCOPE_OURS] = SCHED_RESULT_OURS,
    };
    return results[from->scope];
}

/* The attempts are those that the scheduler counts: so it goes on as before after a restart. */
static struct spool_status *add_open(const struct queue *q, struct outcomes *o,
                                     const struct spool_recipient *r,
                                     const struct ipc_job_outcome *from)
{
    bool uncertain = from->outcome == IPC_OUTCOME_UNCERTAIN;
    struct spool_status *s =
        add(o, r, uncertain ? SPOOL_OUTCOME_UNCERTAIN : SPOOL_OUTCOME_DEFERRED);

    s->attempts = (uint16_t)sched_failures(r->attempts, open_result(from));
    describe_all(q, o, s, from);
    return s;
}

/* Nobody knows what was under way at a crash. It was among what was due and not held, and that is
 * said of each of these once, in front of what came of it next: also of those whose turn had not
 * come. Writing down the begin of each attempt would cost more than this is worth. Rule 4's doubt:
 * a spool that ended well has none. */
struct spool_status outcome_doubt(const struct spool_recipient *r)
{
    int64_t now_us = clock_wall_us();

    return (struct spool_status){
        .recipient = r->index,
        .outcome = SPOOL_OUTCOME_UNCERTAIN,
        .attempts = r->attempts,
        .time_us = now_us,
        .next_attempt_us = now_us,
        .detail = SPAN("the server ended without warning while this was due; if it was under way "
                       "then, it may arrive twice"),
    };
}

/* Of who is in doubt; of others nothing. */
static void add_doubt(struct queue *q, struct outcomes *o, struct spool_recipient *r)
{
    if (!r->in_doubt)
        return;
    o->statuses[o->count++] = outcome_doubt(r);
    r->in_doubt = 0;
    q->dispatch->uncertain++;
}

/* Of one message, and at most `most`. How many. Who is held has no time from then on, so a crash
 * doesn't doubt him again. */
static size_t book_doubts_of(struct queue *q, struct spool_message *message, size_t most)
{
    struct outcomes o __attribute__((uninitialized));

    o.count = 0;
    if (most > IPC_JOB_RECIPIENTS_MAX)
        most = IPC_JOB_RECIPIENTS_MAX;
    for (uint32_t i = 0; i < message->recipient_count && o.count < most; i++) {
        struct spool_recipient *r = &message->recipients[i];
        if (!r->in_doubt || r->is_closing)
            continue;
        add_doubt(q, &o, r);
        if (r->state == SPOOL_RECIPIENT_HELD)
            o.statuses[o.count - 1].next_attempt_us = 0;
    }
    if (o.count)
        settle(q, message, o.statuses, o.count);
    return o.count;
}

bool outcome_book_doubts(struct queue *q)
{
    struct spool_listing *listing;
    struct spool_message *message;
    size_t left = DOUBTS_MAX, booked;

    if (spool_listing_new(q->spool, &listing) < 0)
        return false;
    while (left && (message = spool_listing_next(listing)))
        while (left && (booked = book_doubts_of(q, message, left)))
            left -= booked;
    spool_listing_free(listing);
    return left > 0;
}

/* By an administrator, while it was attempted. Acts that are on their way to the disk say for
 * themselves whether he is; behind a release this would hold him again. Who is held on the disk
 * stays so, unless another word on him goes before; but his hold has a time as long as he was being
 * attempted. */
static void add_hold(struct outcomes *o, const struct spool_recipient *r, uint16_t attempts)
{
    bool has_word = o->count && o->statuses[o->count - 1].recipient == r->index;

    if (r->in_act || (r->state == SPOOL_RECIPIENT_HELD && !has_word && !r->next_attempt_us))
        return;
    struct spool_status *s = add(o, r, SPOOL_OUTCOME_HELD);

    s->attempts = attempts;
    s->next_attempt_us = schedule_held_us(r, false);
    s->detail = SPAN("held as the administrator asked");
}

/* All but GONE, who has no recipient any more, are booked at once. One whose time is up waits on,
 * held, until its sender was told (return.h); when the station may have the message all the same
 * that is said first, for his end alone would read as if it hadn't. */
static void add_verdict(struct queue *q, struct outcomes *o, const struct job_item *item,
                        enum sched_verdict verdict, int64_t due_ms,
                        const struct ipc_job_outcome *from)
{
    const struct spool_recipient *r = item->recipient;

    switch (verdict) {
    case SCHED_VERDICT_GONE:
        break;
    case SCHED_VERDICT_RETRY:
        add_open(q, o, r, from)->next_attempt_us = schedule_wall_us(q, due_ms);
        break;
    case SCHED_VERDICT_HELD:
        add_hold(o, r, add_open(q, o, r, from)->attempts);
        break;
    case SCHED_VERDICT_EXPIRED: {
        if (from->outcome == IPC_OUTCOME_UNCERTAIN)
            add_open(q, o, r, from);
        struct spool_status *s = add(o, item->recipient, SPOOL_OUTCOME_EXPIRED);
        describe(q, o, s, from);
        return_to_sender(q, item->recipient, s);
        break;
    }
    }
}

static void take_delivered(struct queue *q, struct outcomes *o, const struct job_item *item,
                           const struct ipc_job_outcome *from)
{
    bool here = comes_from_mailbox(o);

    struct spool_status *s =
        add(o, item->recipient, here ? SPOOL_OUTCOME_DELIVERED : SPOOL_OUTCOME_RELAYED);

    *(here ? &q->dispatch->delivered : &q->dispatch->relayed) += 1;
    describe_all(q, o, s, from);
    /* RFC 3461 5.2.2 c: a station that offers DSN sends the receipt itself. */
    if (item->wants_receipt && !from->knows_wish) {
        struct spool_status what = *s;
        what.detail = SPAN("");
        if (here)
            what.reply = what.host = SPAN(""); /* no other station has a part in it */
        return_receipt(q, spool_recipient_message(item->recipient),
                       here ? REPORT_DELIVERED : REPORT_RELAYED, &what);
    }
    sched_outcome(q->sched, item->item, SCHED_RESULT_DONE, SPAN(""), io_loop_now_ms(q->loop), NULL);
    schedule_close(item->recipient);
}

/* For now: it failed, or nobody knows whether the station has taken it (RFC 1047). */
static void take_open(struct queue *q, struct outcomes *o, const struct job_item *item,
                      const struct ipc_job_outcome *from)
{
    int64_t due_ms = 0;

    *(from->outcome == IPC_OUTCOME_UNCERTAIN ? &q->dispatch->uncertain : &q->dispatch->deferred) +=
        1;
    enum sched_verdict verdict = sched_outcome(q->sched, item->item, open_result(from), from->text,
                                               io_loop_now_ms(q->loop), &due_ms);
    add_verdict(q, o, item, verdict, due_ms, from);
}

/* Its sender can't be told now, nor could it be remembered: so it waits, as for the end of any
 * other trouble of our own, and is attempted again. */
static void take_untold(struct queue *q, struct outcomes *o, const struct job_item *item,
                        const struct ipc_job_outcome *from)
{
    struct ipc_job_outcome later = *from;

    later.outcome = IPC_OUTCOME_DEFERRED;
    later.scope = IPC_SCOPE_OURS;
    later.status = SPAN("4.3.0");
    later.text = SPAN("it failed for good, but very many reports to senders wait to be written");
    later.earlier = from->text;
    take_open(q, o, item, &later);
}

/* Not booked here: the recipient waits, held, until its sender was told or somebody acts on it
 * (return.h). */
static void take_failed(struct queue *q, struct outcomes *o, const struct job_item *item,
                        const struct ipc_job_outcome *from)
{
    enum sched_result result =
        from->scope == IPC_SCOPE_OURS ? SCHED_RESULT_UNFIT : SCHED_RESULT_REFUSED;

    if (!returns_have_room(q)) {
        take_untold(q, o, item, from);
        return;
    }
    q->dispatch->refused++;
    sched_outcome(q->sched, item->item, result, from->text, io_loop_now_ms(q->loop), NULL);
    struct spool_status cause = {.recipient = item->recipient->index,
                                 .attempts = (uint16_t)(item->recipient->attempts + 1),
                                 .time_us = clock_wall_us()};
    describe(q, o, &cause, from);
    return_to_sender(q, item->recipient, &cause);
}

/* Nobody knows: the result was lost. Perhaps delivered, so it is booked as uncertain. */
static void take_lost(struct queue *q, struct outcomes *o, const struct job_item *item, bool sent)
{
    int64_t due_ms = 0;

    q->dispatch->lost += o->carrier != NULL; /* else nobody was given it */
    enum sched_verdict verdict = sched_outcome(q->sched, item->item, SCHED_RESULT_LOST, SPAN(""),
                                               io_loop_now_ms(q->loop), &due_ms);
    if (sent && QUEUE_MUTANT != MUTANT_LOSS_UNDOUBTED) {
        struct spool_status *s = add(o, item->recipient, SPOOL_OUTCOME_UNCERTAIN);
        s->attempts = item->recipient->attempts; /* perhaps none was made */
        s->detail = comes_from_mailbox(o)
                        ? SPAN("the mailbox process went away before it said what it had done")
                        : SPAN("the smtp process went away before it said what it had done");
        if (verdict == SCHED_VERDICT_RETRY)
            s->next_attempt_us = schedule_wall_us(q, due_ms);
    }
    if (verdict == SCHED_VERDICT_HELD)
        add_hold(o, item->recipient, item->recipient->attempts);
}

/* In the order of the job, as a rule. A result that names no outcome for a recipient (NULL) is as
 * good as lost for him. */
static const struct ipc_job_outcome *find(const struct ipc_job_result *result, uint32_t index,
                                          size_t expected_at)
{
    if (!result)
        return NULL;
    if (expected_at < result->outcome_count && result->outcomes[expected_at].index == index)
        return &result->outcomes[expected_at];
    for (size_t i = 0; i < result->outcome_count; i++)
        if (result->outcomes[i].index == index)
            return &result->outcomes[i];
    return NULL;
}

/* The doubt of a crash goes first, so that the book has it before the attempt that ends it. */
static void take_one(struct queue *q, struct outcomes *o, const struct job_item *item,
                     const struct ipc_job_outcome *from, bool sent)
{
    if (from)
        add_doubt(q, o, item->recipient);
    if (!from)
        take_lost(q, o, item, sent);
    else if (from->outcome == IPC_OUTCOME_UNTRIED)
        take_lost(q, o, item, false);
    else if (from->outcome == IPC_OUTCOME_DELIVERED)
        take_delivered(q, o, item, from);
    else if (from->outcome == IPC_OUTCOME_FAILED)
        take_failed(q, o, item, from);
    else
        take_open(q, o, item, from);
}

/* One settlement for all of them: one record, and its recipients' fates are sealed together. Who
 * was being attempted when his route changed goes the new way from now on. */
static void conclude(struct queue *q, const struct outcomes *o, const struct job_item *items,
                     uint32_t count)
{
    struct spool_message *message = spool_recipient_message(items[0].recipient);

    if (o->count && o->settlement)
        settle_in(o->settlement, message, o->statuses, o->count);
    else if (o->count)
        settle(q, message, o->statuses, o->count);
    else
        settlement_free(o->settlement);
    for (uint32_t i = 0; i < count; i++)
        schedule_follow(q, items[i].recipient);
}

/* The site is learnt first, so that trouble counts for the hosts that had it. */
void outcome_take(const struct carrier *carrier, struct settlement *settlement,
                  const struct job_item *items, uint32_t count, const struct ipc_job_result *result,
                  bool sent)
{
    struct queue *q = carrier->queue;
    struct outcomes outcomes __attribute__((uninitialized));

    outcomes.count = 0;
    outcomes.carrier = carrier;
    outcomes.settlement = settlement;
    if (result)
        sched_group(q->sched, items[0].item, result->mx_set);
    for (uint32_t i = 0; i < count; i++)
        take_one(q, &outcomes, &items[i], find(result, items[i].recipient->index, i), sent);
    conclude(q, &outcomes, items, count);
}

struct ipc_job_outcome outcome_ours(uint32_t index, bool temporary, const char *why)
{
    return (struct ipc_job_outcome){.index = index,
                                    .outcome =
                                        temporary ? IPC_OUTCOME_DEFERRED : IPC_OUTCOME_FAILED,
                                    .scope = IPC_SCOPE_OURS,
                                    .status = temporary ? SPAN("4.3.0") : SPAN("5.3.0"),
                                    .text = span_from_cstr(why)};
}

/* Of one whom no carrier has got. */
static void take_alone(struct queue *q, const struct job_item *item,
                       const struct ipc_job_outcome *from)
{
    struct outcomes outcomes __attribute__((uninitialized));

    outcomes.count = 0;
    outcomes.carrier = NULL;
    outcomes.settlement = NULL;
    take_one(q, &outcomes, item, from, false);
    conclude(q, &outcomes, item, 1);
}

void outcome_fail(struct queue *q, const struct job_item *item, bool temporary, const char *why)
{
    struct ipc_job_outcome from = outcome_ours(item->recipient->index, temporary, why);

    take_alone(q, item, &from);
}

void outcome_untried(struct queue *q, const struct job_item *item)
{
    struct ipc_job_outcome from = {
        .index = item->recipient->index, .outcome = IPC_OUTCOME_UNTRIED, .scope = IPC_SCOPE_OURS};

    take_alone(q, item, &from);
}

/* Without a word to the scheduler of how its destination is: nothing went there. Who asked for a
 * receipt gets the one of an alias that was opened (RFC 3461 5.2.7.3). */
void outcome_duplicate(struct queue *q, const struct job_item *item)
{
    struct spool_recipient *r = item->recipient;
    struct spool_message *message = spool_recipient_message(r);
    struct spool_status status = {.recipient = r->index,
                                  .outcome = SPOOL_OUTCOME_DISCARDED,
                                  .attempts = r->attempts,
                                  .time_us = clock_wall_us(),
                                  .status = EVENT_DUPLICATE_STATUS,
                                  .reply = SPAN(""),
                                  .host = SPAN(""),
                                  .detail = SPAN("whom it stands for gets the message anyway")};

    sched_remove(q->sched, item->item, io_loop_now_ms(q->loop));
    schedule_close(r);
    if (item->wants_receipt) {
        struct spool_status what = status;
        what.detail = SPAN("");
        return_receipt(q, message, REPORT_EXPANDED, &what);
    }
    settle(q, message, &status, 1);
}

/* The sender of who had failed for good learns of that. RFC 3463 X.4.7 else: "considered by the
 * rejecting system to have expired". */
void outcome_give_back(struct queue *q, const struct job_item *item)
{
    struct spool_status cause = {
        .recipient = item->recipient->index,
        .outcome = SPOOL_OUTCOME_REROUTED,
        .attempts = item->recipient->attempts,
        .time_us = clock_wall_us(),
        .status = SPAN("5.4.7"),
        .detail = SPAN("an administrator of this server gave it up before it could be delivered")};
    struct outcomes o __attribute__((uninitialized));

    o.count = 0;
    add_doubt(q, &o, item->recipient);
    if (o.count)
        settle(q, spool_recipient_message(item->recipient), o.statuses, o.count);
    sched_outcome(q->sched, item->item, SCHED_RESULT_KEPT, cause.detail, io_loop_now_ms(q->loop),
                  NULL);
    if (!return_again(q, item->recipient))
        return_to_sender(q, item->recipient, &cause);
}

/* With others of its message, so that one report tells of all. Their number. */
static uint32_t collect_expired(struct queue *q, uint32_t item, uint32_t *items)
{
    struct spool_recipient *first = sched_owner(q->sched, item);
    struct spool_message *message = spool_recipient_message(first);
    uint32_t count = 0;

    items[count++] = item;
    for (uint32_t i = 0; i < message->recipient_count && count < IPC_JOB_RECIPIENTS_MAX; i++) {
        uint32_t other = schedule_item(&message->recipients[i]);
        if (other && sched_expire_along(q->sched, other))
            items[count++] = other;
    }
    return count;
}

/* Booked now, returned when the report is there: in this order, since the words are borrowed from
 * items, and who can't be returned loses his. */
static void expire(struct queue *q, const uint32_t *items, uint32_t count)
{
    struct spool_recipient *r = NULL;
    struct sched_explanation e;
    struct outcomes o __attribute__((uninitialized));
    size_t ends[IPC_JOB_RECIPIENTS_MAX] __attribute__((uninitialized));

    o.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        r = sched_owner(q->sched, items[i]);
        sched_explain(q->sched, items[i], &e);
        add_doubt(q, &o, r);
        struct spool_status *s = add(&o, r, SPOOL_OUTCOME_EXPIRED);
        s->attempts = r->attempts;
        s->status = SPAN("4.4.7"); /* RFC 3463 3.5: delivery time expired */
        s->reply = e.why;
        s->host = schedule_said_by(&e);
        ends[i] = o.count - 1;
    }
    settle(q, spool_recipient_message(r), o.statuses, o.count);
    for (uint32_t i = 0; i < count; i++)
        return_to_sender(q, sched_owner(q->sched, items[i]), &o.statuses[ends[i]]);
}

/* A slice: about a millisecond. */
bool outcome_expired(struct queue *q)
{
    uint32_t looks = EXPIRY_LOOKS, done = 0, item;
    uint32_t items[IPC_JOB_RECIPIENTS_MAX];

    while (done < EXPIRY_SLICE && returns_are_open(q) &&
           (item = sched_take_expired(q->sched, &looks))) {
        uint32_t count = collect_expired(q, item, items);
        expire(q, items, count);
        done += count;
    }
    return sched_may_have_expired(q->sched) && returns_are_open(q);
}
