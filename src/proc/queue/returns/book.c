/* What came of telling a sender, in the spool and the book. */
#include "proc/queue/returns/return.h"
#include "proc/queue/returns/undelivered.h"

#include "base/clock.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "proc/queue/core/event.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/schedule.h"
#include "proc/queue/core/settle.h"
#include <stdio.h>

/* Its row, as long as it still waits for us: nobody released or removed it. */
static struct spool_recipient *ours(const struct undelivered *u, uint32_t index)
{
    struct spool_message *message = spool_find(u->queue->spool, &u->id);
    struct spool_recipient *r = message ? spool_find_recipient(message, index) : NULL;
    uint32_t item = r ? schedule_item(r) : 0;
    struct sched_explanation e;

    if (!item || r->is_closing)
        return NULL;
    sched_explain(u->queue->sched, item, &e);
    return u->kind == REPORT_DELAYED || e.state == SCHED_HELD ? r : NULL;
}

/* ---- who is held instead ---- */

/* An attempt is booked with the return that it leads to: of who isn't returned nobody would know of
 * it. */
static struct spool_status deferral(const struct spool_status *cause)
{
    struct spool_status s = *cause;

    s.outcome = cause->outcome ? 0 : SPOOL_OUTCOME_DEFERRED;
    s.next_attempt_us = 0;
    settle_cut(&s);
    return s;
}

enum return_stage return_stage(const struct queue *q, struct spool_recipient *recipient,
                               struct spool_status *out)
{
    struct undelivered *u;
    const struct spool_status *cause = undelivered_cause(q, recipient, &u);

    if (!cause)
        return RETURN_NONE;
    if (u->state == UNDELIVERED_KEEPING)
        return RETURN_IS_KEPT;
    if (out)
        *out = deferral(cause);
    return RETURN_WAITS;
}

/* The room for it is taken first: nobody would say it again. False: there is none. */
static bool book_refusal(struct queue *q, struct spool_recipient *r,
                         const struct spool_status *cause)
{
    struct spool_status s = deferral(cause);
    struct settlement *room = s.outcome ? settlement_new(q, 1) : NULL;

    s.next_attempt_us = schedule_held_us(r, false);
    if (room)
        settle_in(room, spool_recipient_message(r), &s, 1);
    return room || !s.outcome;
}

/* Without memory he waits for his report a while longer, which rests. */
static bool put_aside(struct undelivered *u, struct spool_recipient *r, struct spool_status *cause,
                      bool keep, bool told)
{
    if (!told && !book_refusal(u->queue, r, cause))
        return false;
    if (keep)
        kept_add(u->queue, &u->id, cause);
    u->count--;
    memmove(cause, cause + 1, (size_t)(u->causes + u->count - cause) * sizeof(*cause));
    return true;
}

void return_take_back(struct queue *q, struct spool_recipient *recipient, bool told)
{
    bool held = recipient->state == SPOOL_RECIPIENT_HELD;
    bool keep = held || span_equal(spool_domain(q->spool, recipient->domain), ROUTE_BACK);
    struct undelivered *u;
    struct spool_status *cause = undelivered_cause(q, recipient, &u);

    if (!keep && !recipient->in_act) /* else the act behind it may still want them */
        kept_forget(q, &spool_recipient_message(recipient)->id, recipient->index);
    if (cause && (told || held))
        put_aside(u, recipient, cause, keep, told);
}

/* ---- who is told of ---- */

static bool keep_ours(struct undelivered *u)
{
    size_t kept = 0;

    for (size_t i = 0; i < u->count; i++)
        if (ours(u, u->causes[i].recipient))
            u->causes[kept++] = u->causes[i];
    u->count = kept;
    return kept > 0;
}

static bool is_held(const struct spool_recipient *r)
{
    return r && r->state == SPOOL_RECIPIENT_HELD && !r->in_act;
}

bool undelivered_put_held_aside(struct undelivered *u)
{
    for (size_t i = u->count; u->kind == REPORT_FAILED && i-- > 0;) {
        struct spool_recipient *r = ours(u, u->causes[i].recipient);
        if (is_held(r) && !put_aside(u, r, &u->causes[i], true, false))
            return false;
    }
    return true;
}

/* An administrator's act on one of them counts when it is sealed, and until then nothing may be
 * done that it couldn't undo. Also when it closes him: the disk may refuse that. */
static bool is_in_act(const struct undelivered *u)
{
    struct spool_message *message = spool_find(u->queue->spool, &u->id);

    for (size_t i = 0; message && u->kind == REPORT_FAILED && i < u->count; i++) {
        const struct spool_recipient *r = spool_find_recipient(message, u->causes[i].recipient);
        if (r && r->in_act)
            return true;
    }
    return false;
}

bool undelivered_goes_on(struct undelivered *u)
{
    if (is_in_act(u) || !undelivered_put_held_aside(u)) {
        undelivered_rest(u);
        return false;
    }
    if (undelivered_is_receipt(u) ? u->count > 0 : keep_ours(u))
        return true;
    undelivered_free(u);
    return false;
}

/* ---- failed: closed as returned, or by a rule ---- */

/* The item leaves the scheduler before the seal: what is closing must not be attempted again. If
 * the disk refuses, settle.c gives the outcome again until it is taken. */
static void close_all(struct undelivered *u, enum spool_outcome outcome, const char *detail)
{
    struct queue *q = u->queue;

    for (size_t i = 0; i < u->count; i++) {
        struct spool_recipient *r = ours(u, u->causes[i].recipient);
        u->causes[i].outcome = (uint8_t)outcome;
        u->causes[i].time_us = clock_wall_us();
        u->causes[i].next_attempt_us = 0;
        if (outcome == SPOOL_OUTCOME_RETURNED)
            u->causes[i].remote_id = span_from_cstr(u->report_text);
        u->causes[i].detail = span_from_cstr(detail);
        sched_remove(q->sched, schedule_item(r), io_loop_now_ms(q->loop));
        schedule_close(r);
    }
}

/* ---- delayed: it goes on waiting ---- */

/* NOTIFIED says nothing of attempts (index.c), but carries them for whoever reads the log alone.
 * The row is marked at once: the next look may come before the seal, and would tell him again. */
static void note_all(struct undelivered *u, const char *detail)
{
    for (size_t i = 0; i < u->count; i++) {
        struct spool_recipient *r = ours(u, u->causes[i].recipient);
        r->is_notified = true;
        u->causes[i] = (struct spool_status){.recipient = r->index,
                                             .outcome = SPOOL_OUTCOME_NOTIFIED,
                                             .attempts = r->attempts,
                                             .time_us = clock_wall_us(),
                                             .next_attempt_us = r->next_attempt_us,
                                             .status = SPAN(""),
                                             .reply = SPAN(""),
                                             .host = SPAN(""),
                                             .tls = SPAN(""),
                                             .remote_id = span_from_cstr(u->report_text),
                                             .detail = span_from_cstr(detail)};
    }
}

/* Those of `u` that keep_ours() has kept, all in the same way. */
static void end_all(struct undelivered *u, enum spool_outcome outcome, const char *detail)
{
    if (outcome == SPOOL_OUTCOME_NOTIFIED)
        note_all(u, detail);
    else
        close_all(u, outcome, detail);
}

/* Those that still wait; also who was held meanwhile, since his sender has been told. He isn't told
 * again for want of memory. */
static void settle_told(struct undelivered *u, enum spool_outcome outcome, const char *detail)
{
    if (!keep_ours(u))
        return;
    end_all(u, outcome, detail);
    settle_in(u->settlement, spool_find(u->queue->spool, &u->id), u->causes, u->count);
    u->settlement = NULL;
}

/* Nobody has been told. Who is held has been left out in this turn of the loop. */
static void settle_untold(struct undelivered *u, enum spool_outcome outcome, const char *detail)
{
    if (!keep_ours(u))
        return;
    end_all(u, outcome, detail);
    settle(u->queue, spool_find(u->queue->spool, &u->id), u->causes, u->count);
}

/* ---- receipts: the recipient is closed, an event says that it was told ---- */

/* An EVENT, not a STATUS: the recipient has its fate, and rule 4 lets nothing follow that. Lost
 * when the spool has no room: the receipt itself has gone. */
static void book_receipt(struct undelivered *u, uint32_t recipient)
{
    char text[80];
    struct event event = {.kind = EVENT_NOTIFIED,
                          .time_us = clock_wall_us(),
                          .count = 1,
                          .message = u->id,
                          .recipient_index = recipient,
                          .actor_uid = EVENT_NO_ACTOR};

    snprintf(text, sizeof(text), "its sender got the receipt %s", u->report_text);
    event.reply = span_from_cstr(text);
    event_book(u->queue, &event, NULL, NULL);
}

/* ---- ends ---- */

void undelivered_told(struct undelivered *u)
{
    struct returns *returns = u->queue->returns;

    if (u->kind == REPORT_FAILED) {
        returns->returned += u->count;
        returns->double_bounces += u->to_postmaster ? u->count : 0;
        settle_told(u, SPOOL_OUTCOME_RETURNED,
                    u->to_postmaster ? "double bounce: the postmaster was told by a report"
                                     : "its sender was told by a report");
    } else if (u->kind == REPORT_DELAYED) {
        returns->notified += u->count;
        settle_told(u, SPOOL_OUTCOME_NOTIFIED, "its sender was told that it is delayed");
    } else {
        returns->receipted += u->count;
        for (size_t i = 0; i < u->count; i++)
            book_receipt(u, u->causes[i].recipient);
        if (undelivered_go_on(u))
            return;
    }
    undelivered_free(u);
}

void undelivered_untold(struct undelivered *u, const char *why)
{
    char text[160];

    u->report_text[0] = '\0';
    if (u->kind == REPORT_FAILED) {
        u->queue->returns->double_bounces += u->count;
        snprintf(text, sizeof(text), "double bounce: %s", why);
        settle_untold(u, SPOOL_OUTCOME_DISCARDED, text);
    } else if (u->kind == REPORT_DELAYED) {
        snprintf(text, sizeof(text), "nobody was told that it is delayed: %s", why);
        settle_untold(u, SPOOL_OUTCOME_NOTIFIED, text);
    }
    undelivered_free(u);
}

/* ---- of whom nobody is told ---- */

/* RFC 3461 section 4.1: NOTIFY=NEVER, or without FAILURE or DELAY, is the sender's own wish. */
static bool is_unwanted(const struct undelivered *u, const struct spool_status *cause)
{
    struct wish_source source = undelivered_source(u);
    enum envelope_notify fate =
        u->kind == REPORT_FAILED ? ENVELOPE_NOTIFY_FAILURE : ENVELOPE_NOTIFY_DELAY;

    return !dsn_wants(wish_find(&source, cause->recipient).notify, fate);
}

static bool is_here(const struct undelivered *u, struct span address)
{
    return route_is_here(u->queue->conf, address_domain_of(address));
}

/* RFC 3463 x.4.6, by a mailbox here: the message says itself that it was in it before, and whoever
 * wrote that may have written somebody else's name as its sender. */
static bool is_strangers_loop(const struct undelivered *u, const struct spool_status *cause)
{
    const struct envelope *e = &u->stored->envelope;
    const struct envelope_recipient *r = spool_stored_recipient(u->stored, cause->recipient);

    return u->kind == REPORT_FAILED && span_equal(cause->status, SPAN("5.4.6")) && r &&
           is_here(u, r->address) && e->client.uid == UINT32_MAX && !is_here(u, e->sender);
}

/* Moves those of whom nobody is told behind the others. How many there are of these. */
static size_t put_last(struct undelivered *u, bool (*is_one)(const struct undelivered *u,
                                                             const struct spool_status *cause))
{
    size_t others = 0;

    for (size_t i = 0; i < u->count; i++) {
        struct spool_status cause = u->causes[i];
        if (is_one(u, &cause))
            continue;
        u->causes[i] = u->causes[others];
        u->causes[others++] = cause;
    }
    return u->count - others;
}

/* The last ones get their fate, with the reason why nobody was told. */
static void drop_last(struct undelivered *u, size_t dropped, enum spool_outcome outcome,
                      const char *detail)
{
    size_t others = u->count - dropped;
    struct spool_status *all = u->causes;

    if (!dropped)
        return;
    u->causes = all + others;
    u->count = dropped;
    u->report_text[0] = '\0';
    settle_untold(u, outcome, detail);
    u->causes = all;
    u->count = others;
}

bool undelivered_drop_unwanted(struct undelivered *u)
{
    if (undelivered_is_receipt(u))
        return u->count > 0;
    if (u->kind == REPORT_FAILED)
        drop_last(u, put_last(u, is_unwanted), SPOOL_OUTCOME_DISCARDED,
                  "its sender asked not to be told of a failure (NOTIFY, RFC 3461)");
    else
        drop_last(u, put_last(u, is_unwanted), SPOOL_OUTCOME_NOTIFIED,
                  "nobody was told that it is delayed, as its sender asked (NOTIFY)");
    drop_last(u, put_last(u, is_strangers_loop), SPOOL_OUTCOME_DISCARDED,
              "loop: nobody was told, since a stranger's message may name anybody as its sender");
    return u->count > 0;
}
