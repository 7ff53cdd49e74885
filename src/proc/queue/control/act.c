/*
 * What an administrator does to waiting recipients. Each act is booked with the uid of who asked,
 * and answered when that is on disk; long work is told of in between.
 *
 *   walk ──batch──▶ statuses of each message ──▶ spool ──sealed──▶ the scheduler learns the rest
 *
 * An act counts when it is sealed. Until then it keeps its recipient from being attempted, and his
 * report from being written; so whatever order acts are given in, and whichever of them the disk
 * refuses, he has only to be looked at when the last of them has its answer: he is then what his
 * row says, and who isn't held there goes on, when his row says. A retry alone keeps nobody from
 * anything until then.
 */
#include "proc/queue/control/client.h"

#include "base/clock.h"
#include "conf/next_hop.h"
#include "mail/address.h"
#include "proc/queue/carry/outcome.h"
#include "proc/queue/control/walk.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/route.h"
#include "proc/queue/core/schedule.h"
#include "proc/queue/returns/return.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A record of statuses must fit a frame of the log; the pause is short against a disk that is full
 * of work, and an administrator sees progress twice a second. */
enum { RECIPIENTS_MAX = 100, PAUSE_MS = 20, PROGRESS_MS = 500 };
enum { ACTS_MAX = 3 }; /* on one recipient at a time: what `in_act` can count */

struct act {
    struct list link;
    struct control_client *client; /* NULL: gone; what was begun is finished */
    struct queue *queue;
    enum ipc_queue_act_kind kind;
    bool dry;
    uint32_t index;
    struct buffer next_hop; /* canonical; empty: as configured */
    char who[48];

    struct walk *walk;
    size_t entry;           /* of the walk's batch: the next to act on … */
    uint32_t row;           /* … and of its recipients */
    bool walked;            /* to the end */
    struct io_timer *timer; /* goes on when there may be room in the spool */

    bool waiting; /* a call waits for an answer */
    uint64_t token;
    struct io_timer *progress;

    uint32_t pending; /* batches on their way to the disk */
    uint32_t count, busy;
    uint32_t passed; /* they fit, but the act changes nothing for them */
    uint32_t untold; /* of those to be returned: their sender is null */
    uint64_t messages;
    int error;       /* the first */
    bool left_alone; /* a message: damaged, or it can't be read whether it fits */
    bool stays_held; /* such a message, as the act wants it */
};

struct batch_row {
    uint32_t index;
    bool told; /* he waited for his report: with the act the book knows how his attempt went */
};

/* Recipients of one message on their way to the disk. */
struct batch {
    struct act *act;
    struct id id;
    uint32_t count;
    struct batch_row rows[];
};

static void act_free(struct act *a)
{
    list_remove(&a->link);
    walk_free(a->walk);
    io_timer_free(a->timer);
    io_timer_free(a->progress);
    buffer_done(&a->next_hop);
    free(a);
}

/* ---- answers ---- */

enum { WORDS_MAX = 160 };

/* Why nothing was done for those whom the act changes nothing for. Who is held may wait for an
 * administrator, be damaged, or wait for the report to his sender. */
static struct span words_of_passed(const struct act *a, char out[static WORDS_MAX])
{
    static const char *const as_they_are[IPC_ACT_COUNT] = {
        [IPC_ACT_HOLD] = "held already, nothing to do",
        [IPC_ACT_RELEASE] = "not held, nothing to do",
        [IPC_ACT_RETRY] = "held, and not attempted; postbuch queue show tells why",
        [IPC_ACT_RETURN] = "on the way back to the sender already, nothing to do",
    };
    int size = a->passed == 1
                   ? snprintf(out, WORDS_MAX, "it is %s", as_they_are[a->kind])
                   : snprintf(out, WORDS_MAX, "%u are %s", a->passed, as_they_are[a->kind]);
    return span_of(out, (size_t)size);
}

/* What becomes of those whose sender nobody can be (RFC 5321 4.5.5): "1 recipient" alone would read
 * as if he were told. */
static struct span words_of_untold(const struct act *a, char out[static WORDS_MAX])
{
    const char *fate = a->queue->conf->double_bounce == CONF_DOUBLE_BOUNCE_POSTMASTER
                           ? "the postmaster is told instead, unless it went to him"
                           : "nobody is told, it is discarded as a double bounce";
    int size = a->count == 1 ? snprintf(out, WORDS_MAX, "its sender is <>, as of reports: %s", fate)
                             : snprintf(out, WORDS_MAX, "of %u the sender is <>, as of reports: %s",
                                        a->untold, fate);
    return span_of(out, (size_t)size);
}

/* In the order of what an administrator must know first: a disk that fails, then what was left
 * alone. "Busy" alone is no trouble: that passes (is_busy()), and he may ask again. Of a thousand
 * that fit those whom the act changes nothing for are told of only when there are no others. */
static struct span words(const struct act *a, char out[static WORDS_MAX])
{
    if (a->error)
        return SPAN("not all of it could be written to disk");
    if (a->left_alone)
        return SPAN("a message that is damaged or can't be read was left alone");
    if (a->stays_held)
        return SPAN("a message that may fit can't be read; it is held already, and stays so");
    if (a->untold)
        return words_of_untold(a, out);
    if (a->count || a->busy)
        return SPAN("");
    return a->passed ? words_of_passed(a, out) : SPAN("nothing in the queue fits");
}

/* Who is already as the act wants him, or may fit and is held, needs nothing: no trouble. A retry
 * wants an attempt, and who is held gets none. */
static int result_of(const struct act *a)
{
    bool as_wanted = a->stays_held || (a->passed && a->kind != IPC_ACT_RETRY);

    if (a->error || a->left_alone)
        return a->error ? a->error : -EIO;
    return a->count || as_wanted ? 0 : a->busy ? -EBUSY : -ENOENT;
}

static void answer(struct act *a, bool last)
{
    struct ipc_message m = {.type = IPC_QUEUE_ACTED,
                            .queue_acted = {.last = last,
                                            .count = a->count,
                                            .busy = a->busy,
                                            .examined = a->walk->examined,
                                            .messages = a->messages}};
    char text[WORDS_MAX];

    if (last) {
        m.queue_acted.error = result_of(a);
        m.queue_acted.text = words(a, text);
    }
    a->waiting = false;
    io_timer_clear(a->progress);
    ipc_reply(a->client->channel, a->token, &m);
}

/* The client may not have asked for more yet: then the act waits for IPC_QUEUE_ACT_MORE with its
 * last answer. Without a client there is nobody to wait for. */
static void answer_if_done(struct act *a)
{
    if (!a->walked || a->pending || (a->client && !a->waiting))
        return;
    if (a->client)
        answer(a, true);
    act_free(a);
}

static void on_progress(void *arg)
{
    struct act *a = arg;

    if (a->waiting)
        answer(a, false);
}

static void await(struct act *a, uint64_t token)
{
    a->token = token;
    a->waiting = true;
    io_timer_set(a->progress, PROGRESS_MS);
}

/* ---- what is sealed, or not ---- */

static bool leaves(enum ipc_queue_act_kind kind)
{
    return kind == IPC_ACT_RETURN || kind == IPC_ACT_REMOVE || kind == IPC_ACT_REROUTE;
}

static int64_t new_deadline_ms(const struct queue *q, const struct spool_message *m)
{
    struct retry_policy retry = schedule_retry(q->conf);
    return retry_deadline_ms(&retry, m->accepted_us, clock_wall_us(), io_loop_now_ms(q->loop));
}

/* Also of who was released: his row has the time of that. */
static int64_t due_ms(const struct queue *q, const struct spool_recipient *r)
{
    struct retry_policy retry = schedule_retry(q->conf);
    return retry_due_ms(&retry, r->next_attempt_us, clock_wall_us(), io_loop_now_ms(q->loop));
}

/* What became of him is in his row by now. As long as others are on their way to the disk nothing
 * follows from that. Who then isn't held is let go, unless he waits for the report to his sender:
 * no act that is on the disk has taken that back. The recipient may have been closed meanwhile:
 * then it has no item and nothing is to be done. */
static void conclude(const struct act *a, struct spool_message *m, struct spool_recipient *r,
                     const struct batch_row *row, int error)
{
    struct queue *q = a->queue;
    bool retries = a->kind == IPC_ACT_RETRY;
    uint32_t item = schedule_item(r);

    r->in_act -= !retries;
    if (!item)
        return;
    if (!error && !retries)
        return_take_back(q, r, row->told);
    if (!r->in_act && r->state != SPOOL_RECIPIENT_HELD && return_stage(q, r, NULL) == RETURN_NONE)
        sched_release(q->sched, item, due_ms(q, r), new_deadline_ms(q, m), io_loop_now_ms(q->loop));
    if (!error && retries && !r->in_act)
        sched_retry_now(q->sched, item, io_loop_now_ms(q->loop));
    if (!error && leaves(a->kind))
        schedule_again(q, r);
    else
        schedule_follow(q, r);
}

/* -ECANCELED: the spool is being closed, and its messages are gone with it. The message itself may
 * be gone for the same seal: "removed" closes recipients. */
static void on_sealed(void *arg, int error)
{
    struct batch *batch = arg;
    struct act *a = batch->act;
    struct queue *q = a->queue;
    struct spool_message *m = error == -ECANCELED ? NULL : spool_find(q->spool, &batch->id);

    for (uint32_t i = 0; m && i < batch->count; i++) {
        struct spool_recipient *r = spool_find_recipient(m, batch->rows[i].index);
        if (r)
            conclude(a, m, r, &batch->rows[i], error);
    }
    free(batch);
    a->pending--;
    if (error && !a->error)
        a->error = error;
    dispatch_kick(q);
    answer_if_done(a);
}

/* ---- acting on a message ---- */

/* Acts that don't fit the state are no errors: of a thousand that fit a filter those that are held
 * already needn't be held again. Nor is a retry told as done that changes nothing: who waits for
 * the report to his sender is held, and so is, also at the end of the attempt under way, whose hold
 * isn't on the disk yet. */
static bool fits_state(const struct act *a, const struct spool_recipient *r,
                       const struct sched_explanation *e)
{
    bool held = r->state == SPOOL_RECIPIENT_HELD;

    if (a->kind == IPC_ACT_RELEASE)
        return held || e->state == SCHED_HELD;
    if (a->kind == IPC_ACT_HOLD)
        return !held;
    if (a->kind == IPC_ACT_RETRY)
        return !held && !r->in_act && e->state != SCHED_HELD;
    return a->kind != IPC_ACT_RETURN ||
           !span_equal(spool_domain(a->queue->spool, r->domain), ROUTE_BACK);
}

/* For return, remove and reroute, who is being attempted: the remote server may take the message
 * this very moment, so to remove or reroute it now could deliver it twice, or tell a lie. An
 * attempt lasts until the disk has what came of it: behind his end it could tell of it no more. For
 * all acts, who waits for his report when that or an act on him is on its way to the disk: his
 * sender is told that he failed, or the book is, and it isn't known yet which or whether. And whom
 * so many acts concern that wait for the disk that they can't be counted. */
static bool is_busy(const struct act *a, const struct spool_recipient *r, enum sched_state state,
                    enum return_stage stage)
{
    bool attempted = state == SCHED_ACTIVE || r->is_settling;

    return (leaves(a->kind) && attempted) || r->in_act == ACTS_MAX || stage == RETURN_IS_KEPT ||
           (stage == RETURN_WAITS && r->in_act);
}

/* Who is busy is counted and left. So is whom the act may fit when an act before it has come to
 * the disk: a hold or a retry behind a release, say. */
static bool concerns(struct act *a, const struct spool_recipient *r,
                     const struct sched_explanation *e, enum return_stage stage)
{
    if (!schedule_item(r) || r->is_closing || (a->index != UINT32_MAX && a->index != r->index))
        return false;
    bool fits = fits_state(a, r, e);
    bool busy = fits ? is_busy(a, r, e->state, stage) : r->in_act;
    a->busy += busy;
    a->passed += !fits && !busy;
    return fits && !busy;
}

/* Whether a message that nobody can read fits doesn't matter when the act would pass over it: one
 * that is damaged is held by the spool, also when that isn't sealed yet. */
static void note_unread(struct act *a, const struct spool_message *m,
                        const struct spool_recipient *r)
{
    bool passes = a->kind == IPC_ACT_HOLD || a->kind == IPC_ACT_RETRY;
    bool held = m->flags & SPOOL_MESSAGE_DAMAGED || r->state == SPOOL_RECIPIENT_HELD;

    if (passes && held)
        a->stays_held = true;
    else
        a->left_alone = true;
}

/* Where the recipient goes from now on; empty when that isn't known. A reroute to "mx" is a return
 * to what is configured, so it names the domain of the address itself, which only the envelope on
 * the disk has. */
static struct span route_for(const struct act *a, const struct walk_entry *entry,
                             const struct spool_recipient *r)
{
    const struct envelope_recipient *named;

    if (a->kind == IPC_ACT_RETURN)
        return ROUTE_BACK;
    if (a->next_hop.size)
        return buffer_span(&a->next_hop);
    named = entry->stored ? spool_stored_recipient(entry->stored, r->index) : NULL;
    if (!named)
        return SPAN("");
    return address_domain_of(named->address);
}

/* Up to three statuses: in front what became of an attempt that isn't booked yet (`cause`: of who
 * waits for his report; else NULL); who goes back to the sender isn't held any more, also when his
 * hold is still on its way to the disk, and who is removed in doubt may have the message. Their
 * number; 0: it can't be done. */
static uint32_t fill_statuses(const struct act *a, const struct walk_entry *entry,
                              const struct spool_recipient *r, enum sched_state state,
                              const struct spool_status *cause, struct spool_status *out)
{
    static const enum spool_outcome outcomes[IPC_ACT_COUNT] = {
        [IPC_ACT_HOLD] = SPOOL_OUTCOME_HELD,      [IPC_ACT_RELEASE] = SPOOL_OUTCOME_RELEASED,
        [IPC_ACT_RETRY] = SPOOL_OUTCOME_RETRIED,  [IPC_ACT_RETURN] = SPOOL_OUTCOME_REROUTED,
        [IPC_ACT_REMOVE] = SPOOL_OUTCOME_REMOVED, [IPC_ACT_REROUTE] = SPOOL_OUTCOME_REROUTED,
    };
    int64_t now_us = clock_wall_us();
    uint32_t n = 0;
    struct spool_status s = {.recipient = r->index,
                             .outcome = (uint8_t)outcomes[a->kind],
                             .attempts = cause ? cause->attempts : r->attempts,
                             .time_us = now_us,
                             .next_attempt_us = now_us,
                             .detail = span_from_cstr(a->who)};

    if (s.outcome == SPOOL_OUTCOME_HELD)
        s.next_attempt_us = schedule_held_us(r, state == SCHED_ACTIVE);
    if (s.outcome == SPOOL_OUTCOME_REROUTED) {
        s.host = route_for(a, entry, r);
        if (!s.host.size)
            return 0;
    }
    if (cause && cause->outcome)
        out[n++] = *cause;
    if (a->kind == IPC_ACT_RETURN && (r->state == SPOOL_RECIPIENT_HELD || state == SCHED_HELD)) {
        out[n] = s;
        out[n].host = SPAN("");
        out[n++].outcome = SPOOL_OUTCOME_RELEASED;
    }
    if (a->kind == IPC_ACT_REMOVE && r->in_doubt)
        out[n++] = outcome_doubt(r);
    out[n++] = s;
    return n;
}

/* All but a retry hold first: an attempt that began before the seal would not know of the act. Who
 * is being attempted is held when that fails, until the act is known. */
static void apply(const struct act *a, struct spool_recipient *r)
{
    struct queue *q = a->queue;

    if (a->kind == IPC_ACT_RETRY)
        return;
    r->in_act++;
    sched_hold(q->sched, schedule_item(r), io_loop_now_ms(q->loop));
}

struct chosen {
    struct spool_recipient *recipients[RECIPIENTS_MAX];
    struct batch_row rows[RECIPIENTS_MAX];
    struct spool_status statuses[3 * RECIPIENTS_MAX];
    uint32_t count, status_count;
};

/* From row `*row` on, as many as fit a record. */
static void choose(struct act *a, const struct walk_entry *entry, struct spool_message *m,
                   uint32_t *row, struct chosen *c)
{
    uint32_t end = entry->end_row < m->recipient_count ? entry->end_row : m->recipient_count;
    struct sched_explanation e;
    struct spool_status cause;

    c->count = c->status_count = 0;
    for (; *row < end && c->count < RECIPIENTS_MAX; ++*row) {
        struct spool_recipient *r = &m->recipients[*row];
        if (!walk_fits(a->walk, entry, r, &e)) {
            if (walk_may_fit(a->walk, entry, r))
                note_unread(a, m, r);
            continue;
        }
        enum return_stage stage =
            e.state == SCHED_HELD ? return_stage(a->queue, r, &cause) : RETURN_NONE;
        if (!concerns(a, r, &e, stage))
            continue;
        bool waits = stage == RETURN_WAITS;
        uint32_t n = fill_statuses(a, entry, r, e.state, waits ? &cause : NULL,
                                   &c->statuses[c->status_count]);
        c->status_count += n;
        c->recipients[c->count] = r;
        c->rows[c->count] = (struct batch_row){.index = r->index, .told = waits};
        c->count += n > 0;
        a->left_alone |= n == 0;
    }
}

static struct batch *batch_new(struct act *a, const struct spool_message *m, const struct chosen *c)
{
    struct batch *batch = malloc(sizeof(*batch) + c->count * sizeof(batch->rows[0]));

    if (!batch)
        return NULL;
    *batch = (struct batch){.act = a, .id = m->id, .count = c->count};
    memcpy(batch->rows, c->rows, c->count * sizeof(c->rows[0]));
    return batch;
}

/* The statuses first, then the scheduler: when the spool has no room (-EAGAIN) nothing has changed
 * yet, and the same rows come again. So it is when it has none for an outcome of the message: what
 * became of an attempt stands in front of what an administrator wants then. */
static int give(struct act *a, struct spool_message *m, const struct chosen *c)
{
    if (settle_waits(a->queue, &m->id))
        return -EAGAIN;
    struct batch *batch = batch_new(a, m, c);
    int r = batch ? spool_status(a->queue->spool, m, c->statuses, c->status_count, on_sealed, batch)
                  : -ENOMEM;

    if (r < 0) {
        free(batch);
        return r;
    }
    a->pending++;
    a->count += c->count;
    for (uint32_t i = 0; i < c->count; i++)
        apply(a, c->recipients[i]);
    return 0;
}

/* A hash says so, for which no envelope need be read: it is only told. */
static bool has_null_sender(const struct act *a, const struct spool_message *m)
{
    return m->sender == spool_sender_hash(a->queue->spool, SPAN(""));
}

/* The recipients from a->row on, as many as fit a record. 0, or -EAGAIN: later. A damaged message
 * may be held or removed and nothing else: what can't be read can't be sent. `busy` and `passed`
 * are taken back on -EAGAIN, or the rows that come again would be counted twice. */
static int act_on_some(struct act *a, const struct walk_entry *entry, struct spool_message *m)
{
    struct chosen c __attribute__((uninitialized));
    uint32_t busy = a->busy, passed = a->passed, row = a->row;

    choose(a, entry, m, &row, &c);
    if (c.count && (m->flags & SPOOL_MESSAGE_DAMAGED) && a->kind != IPC_ACT_HOLD &&
        a->kind != IPC_ACT_REMOVE) {
        a->left_alone = true;
        c.count = 0;
    }
    int r = 0;
    if (a->dry)
        a->count += c.count;
    else if (c.count)
        r = give(a, m, &c);
    if (r == -EAGAIN) {
        a->busy = busy;
        a->passed = passed;
        return r;
    }
    a->row = row;
    if (r == 0 && a->kind == IPC_ACT_RETURN && has_null_sender(a, m))
        a->untold += c.count;
    if (r < 0 && r != -EALREADY && !a->error)
        a->error = r;
    return 0;
}

/* All of an entry. 0, or -EAGAIN: later. */
static int act_on_entry(struct act *a, const struct walk_entry *entry)
{
    struct spool_message *m = spool_find(a->queue->spool, &entry->id);
    int r = 0;

    while (m && r == 0 && a->row < entry->end_row && a->row < m->recipient_count)
        r = act_on_some(a, entry, m);
    return r;
}

/* ---- the walk ---- */

/* Entered by the walk and by the timer, and goes on where it stood: `entry` and `row` are the
 * place. The dispatcher is kicked once for all. */
static void go_on(void *arg)
{
    struct act *a = arg;
    struct walk *w = a->walk;
    int r = 0;

    while (r == 0 && a->entry < w->count && !a->walked) {
        if (a->row < w->entries[a->entry].first_row)
            a->row = w->entries[a->entry].first_row;
        r = act_on_entry(a, &w->entries[a->entry]);
        if (r == 0) {
            a->entry++;
            a->row = 0;
        }
    }
    committer_kick(&a->queue->committer);
    dispatch_kick(a->queue);
    if (r < 0)
        io_timer_set(a->timer, PAUSE_MS);
    else if (w->ended || a->walked)
        a->walked = true;
    else
        walk_next(w);
    answer_if_done(a);
}

static void on_ready(struct walk *walk)
{
    struct act *a = walk->arg;

    a->entry = 0;
    a->row = 0;
    go_on(a);
}

/* ---- in and out ---- */

static int act_init(struct act *a, const struct ipc_queue_act *wanted)
{
    struct queue *q = a->queue;
    struct spool_counts counts;
    bool reads = a->kind == IPC_ACT_REROUTE && !a->next_hop.size;
    int r = io_timer_new(q->loop, go_on, a, &a->timer);

    if (r == 0)
        r = io_timer_new(q->loop, on_progress, a, &a->progress);
    if (r == 0)
        r = walk_new(q, &wanted->filter, reads, on_ready, a, &a->walk);
    spool_get_counts(q->spool, &counts);
    a->messages = id_is_zero(&wanted->filter.id) ? counts.messages : 1;
    return r;
}

static struct act *act_new(struct control_client *client, const struct ipc_queue_act *wanted,
                           struct buffer *next_hop)
{
    struct act *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    *a = (struct act){.client = client,
                      .queue = client->queue,
                      .kind = (enum ipc_queue_act_kind)wanted->act,
                      .dry = wanted->dry,
                      .index = wanted->index,
                      .next_hop = *next_hop};
    *next_hop = (struct buffer)BUFFER_INIT;
    snprintf(a->who, sizeof(a->who), "by uid %u%s", client->uid,
             a->kind == IPC_ACT_RETURN ? ": back to the sender" : "");
    if (act_init(a, wanted) < 0) {
        act_free(a);
        return NULL;
    }
    list_append(&client->acts, &a->link);
    return a;
}

static void refuse(struct control_client *client, uint64_t token, int error, const char *text)
{
    struct ipc_message m = {
        .type = IPC_QUEUE_ACTED,
        .queue_acted = {.error = error, .last = true, .text = span_from_cstr(text)}};
    ipc_reply(client->channel, token, &m);
}

/* For reroute alone; what another act has in the field is ignored. */
static bool read_next_hop(const struct ipc_queue_act *wanted, struct buffer *out)
{
    return wanted->act != IPC_ACT_REROUTE || conf_read_next_hop(wanted->next_hop, out) == 0;
}

void act_start(struct control_client *client, const struct ipc_arrival *arrival)
{
    const struct ipc_queue_act *wanted = &arrival->message->queue_act;
    struct buffer next_hop = BUFFER_LIMITED(ENVELOPE_ADDRESS_MAX);
    struct act *a;

    if (!ipc_queue_filter_names_some(&wanted->filter)) {
        refuse(client, arrival->token, -EINVAL,
               "name a message, a sender, a recipient or a destination");
    } else if (!read_next_hop(wanted, &next_hop)) {
        refuse(client, arrival->token, -EINVAL,
               "that is no next hop; write smtp:HOST:PORT, mx:DOMAIN, or mx");
    } else if (!list_is_empty(&client->acts)) {
        refuse(client, arrival->token, -EBUSY, "one act at a time");
    } else if (!(a = act_new(client, wanted, &next_hop))) {
        refuse(client, arrival->token, -ENOMEM, "out of memory");
    } else {
        await(a, arrival->token);
        walk_next(a->walk);
    }
    buffer_done(&next_hop);
}

void act_more(struct control_client *client, const struct ipc_arrival *arrival)
{
    struct act *a =
        list_is_empty(&client->acts) ? NULL : CONTAINER_OF(client->acts.next, struct act, link);

    if (!a || a->waiting) {
        refuse(client, arrival->token, -EINVAL, "no act is under way");
        return;
    }
    await(a, arrival->token);
    answer_if_done(a);
}

/* What the disk was given is on its way and can't be called back, so an act with batches pending
 * lives on without its client until they are sealed; on_sealed() frees it. */
void act_drop_all(struct control_client *client)
{
    struct list *link;

    while ((link = list_take_first(&client->acts))) {
        struct act *a = CONTAINER_OF(link, struct act, link);
        a->client = NULL;
        a->walked = true;
        io_timer_clear(a->timer);
        io_timer_clear(a->progress);
        walk_free(a->walk);
        a->walk = NULL;
        if (!a->pending)
            act_free(a);
    }
}
