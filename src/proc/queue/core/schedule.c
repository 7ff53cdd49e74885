/*
 * Between the spool's rows and the scheduler's items. A row's `owner` is its item's handle, or a
 * mark that its outcome is on the way to the disk.
 */
#include "proc/queue/core/schedule.h"

#include "base/clock.h"
#include "mail/event.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/lane.h"
#include "proc/queue/core/route.h"
#include <errno.h>

/* No handle: a slab would have to have four thousand million elements. */
static const uint32_t CLOSED = UINT32_MAX;
enum {
    WALK_STEPS = 1 << 20,
    NEARLY_US = 1000000,
    SLICE = 2048, /* places of the spool's index in a turn of the loop: about a millisecond */
};

uint32_t schedule_item(const struct spool_recipient *recipient)
{
    return recipient->owner == CLOSED ? 0 : recipient->owner;
}

void schedule_close(struct spool_recipient *recipient)
{
    recipient->owner = CLOSED;
}

/* For records only, which outlive the monotonic clock. */
int64_t schedule_wall_us(const struct queue *q, int64_t monotonic_ms)
{
    return clock_wall_us() + (monotonic_ms - io_loop_now_ms(q->loop)) * 1000;
}

struct retry_policy schedule_retry(const struct conf_queue *conf)
{
    return (struct retry_policy){.first_ms = (int64_t)conf->retry_first_ms,
                                 .max_ms = (int64_t)conf->retry_max_ms,
                                 .give_up_ms = (int64_t)conf->give_up_ms};
}

struct sched_config schedule_config(const struct conf_queue *conf, uint64_t seed)
{
    struct sched_config config = {
        .retry = schedule_retry(conf),
        .lost_pause_ms = 1000,
        .seed = seed,
    };

    /* Only strangers' sites hold up a lane by their silence: shares are for smtp. */
    for (unsigned lane = 0; lane < SCHED_LANES; lane++)
        config.shares[lane] = (struct sched_share){UINT32_MAX, UINT32_MAX, UINT32_MAX};
    /* The machine's own disk. Four full batches: more would only be more duplicates. */
    config.windows[LANE_MAILBOX] = (struct sched_window){16, 128};
    /* Strangers: a few connections at first, so that many dead ones together hold up little. */
    for (unsigned lane = LANE_SMTP; lane < CARRIERS; lane++) {
        config.windows[lane] = (struct sched_window){4, 64};
        config.shares[lane] =
            (struct sched_share){SMTP_JOBS_MAX / 2, SMTP_JOBS_MAX / 4 * 3, SMTP_JOBS_MAX};
    }
    config.windows[LANE_RETURN] = (struct sched_window){1, 1}; /* it fails at once */
    return config;
}

/* An item where the recipient's route leads now. On failure nothing has changed. */
static int add_item(struct queue *q, struct spool_recipient *recipient, unsigned attempts,
                    bool held)
{
    const struct spool_message *message = spool_recipient_message(recipient);
    struct retry_policy retry = schedule_retry(q->conf);
    int64_t wall_us = clock_wall_us(), now_ms = io_loop_now_ms(q->loop);
    struct route route;
    route_find(q->conf, spool_domain(q->spool, recipient->domain), &route);
    struct sched_entry entry = {
        .owner = recipient,
        .destination = route.destination,
        .lane = lane_of(&route),
        .sender = message->sender,
        .due_ms = retry_due_ms(&retry, recipient->next_attempt_us, wall_us, now_ms),
        .deadline_ms = retry_deadline_ms(&retry, message->accepted_us, wall_us, now_ms),
        .attempts = attempts,
        .held = held,
    };
    uint32_t item;
    int r = sched_add(q->sched, &entry, now_ms, &item);

    if (r == 0)
        recipient->owner = item;
    return r;
}

static int schedule_message(struct queue *q, struct spool_message *message)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < message->recipient_count; i++) {
        struct spool_recipient *recipient = &message->recipients[i];
        if (recipient->state != SPOOL_RECIPIENT_CLOSED && !recipient->is_closing &&
            !recipient->owner)
            r = add_item(q, recipient, recipient->attempts,
                         recipient->state == SPOOL_RECIPIENT_HELD || recipient->in_act);
    }
    return r;
}

void schedule_added(struct queue *q, struct spool_message *message)
{
    if (schedule_message(q, message) < 0)
        schedule_want(q);
}

/* The spool itself holds the recipients of a damaged message (rule 8). A closed one that still has
 * its item was removed by an administrator. So the scheduler follows the disk, not the other way
 * round: an act counts when it is sealed. */
void schedule_changed(void *arg, struct spool_recipient *recipient)
{
    struct queue *q = arg;
    uint32_t item = schedule_item(recipient);

    if (item && recipient->state == SPOOL_RECIPIENT_HELD) {
        sched_hold(q->sched, item, io_loop_now_ms(q->loop));
    } else if (item && recipient->state == SPOOL_RECIPIENT_CLOSED) {
        sched_remove(q->sched, item, io_loop_now_ms(q->loop));
        recipient->owner = 0;
    }
}

/* All recipients have their fates; an item may be left of one that an administrator removed. */
void schedule_gone(void *arg, struct spool_message *message)
{
    struct queue *q = arg;

    for (uint32_t i = 0; i < message->recipient_count; i++) {
        uint32_t item = schedule_item(&message->recipients[i]);
        if (item)
            sched_remove(q->sched, item, io_loop_now_ms(q->loop));
        message->recipients[i].owner = 0;
    }
    struct parcel *parcel = parcel_find(&q->parcels, &message->id);
    if (parcel && list_is_linked(&parcel->link)) /* else its commit frees it */
        parcel_free(&q->parcels, parcel);
}

static void find_latest(void *arg, struct spool_message *message)
{
    int64_t *latest_us = arg;

    if (message->accepted_us > *latest_us)
        *latest_us = message->accepted_us;
}

/* Times in the log are nearly those by which the scheduler goes. */
bool schedule_is_known_due(const struct spool_recipient *recipient, int64_t wall_us)
{
    return recipient->next_attempt_us <= wall_us + NEARLY_US;
}

/* A held one has a time only when schedule_held_us() gave him one. */
static bool is_in_doubt(const struct spool_recipient *r, int64_t crash_us)
{
    return r->state != SPOOL_RECIPIENT_CLOSED && schedule_is_known_due(r, crash_us) &&
           (r->state != SPOOL_RECIPIENT_HELD || r->next_attempt_us != 0);
}

static void doubt(void *arg, struct spool_message *message)
{
    const int64_t *crash_us = arg;

    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (is_in_doubt(&message->recipients[i], *crash_us))
            message->recipients[i].in_doubt = 1;
}

int64_t schedule_held_us(const struct spool_recipient *recipient, bool is_attempted)
{
    return is_attempted || recipient->in_doubt ? clock_wall_us() : 0;
}

void schedule_doubt(struct queue *q)
{
    int64_t crash_us = clock_wall_us();
    size_t cursor = 0;

    while (spool_walk(q->spool, &cursor, WALK_STEPS, find_latest, &crash_us))
        continue;
    cursor = 0;
    while (spool_walk(q->spool, &cursor, WALK_STEPS, doubt, &crash_us))
        continue;
}

/* By age, so that who has waited longest is attempted first. */
int schedule_all(struct queue *q)
{
    struct spool_listing *listing;
    struct spool_message *message;
    int r = spool_listing_new(q->spool, &listing);

    if (r < 0)
        return r;
    while (r == 0 && (message = spool_listing_next(listing)))
        r = schedule_message(q, message);
    spool_listing_free(listing);
    return r;
}

/* Who is held goes along, or a release would leave him to the pause of a way that he doesn't go any
 * more. Who is being attempted goes when that has failed. Who is held in memory alone stays: he
 * waits for the report to his sender, or for the seal of an act, which looks again. */
static bool may_move(const struct spool_recipient *recipient, enum sched_state state)
{
    return state == SCHED_PAUSED || state == SCHED_READY ||
           (state == SCHED_HELD && recipient->state == SPOOL_RECIPIENT_HELD);
}

static bool goes_elsewhere(const struct queue *q, const struct spool_recipient *recipient,
                           uint32_t item)
{
    struct sched_explanation e;
    struct route route;

    sched_explain(q->sched, item, &e);
    route_find(q->conf, spool_domain(q->spool, recipient->domain), &route);
    return may_move(recipient, e.state) &&
           (e.lane != lane_of(&route) || !span_equal(e.destination, route.destination));
}

/* A new item rather than a changed one: destination, lane and deadline are all the new way's. The
 * item says whether he is held, and how often he was attempted: a release and an outcome are known
 * there first, and on the disk later. */
static int move(struct queue *q, struct spool_recipient *recipient)
{
    uint32_t item = schedule_item(recipient);
    struct sched_explanation e;

    sched_explain(q->sched, item, &e);
    if (e.state == SCHED_ACTIVE)
        return 0;
    int r = add_item(q, recipient, e.attempts, e.state == SCHED_HELD);
    if (r < 0)
        return r;
    sched_remove(q->sched, item, io_loop_now_ms(q->loop));
    sched_retry_now(q->sched, schedule_item(recipient), io_loop_now_ms(q->loop));
    return 0;
}

/* The pause was for the trouble of another destination. */
static int follow(struct queue *q, struct spool_recipient *recipient)
{
    uint32_t item = schedule_item(recipient);

    return item && goes_elsewhere(q, recipient, item) ? move(q, recipient) : 0;
}

void schedule_again(struct queue *q, struct spool_recipient *recipient)
{
    if (move(q, recipient) < 0)
        schedule_want(q);
}

void schedule_follow(struct queue *q, struct spool_recipient *recipient)
{
    if (follow(q, recipient) < 0)
        schedule_want(q);
}

/* ---- all that waits, while the queue works ---- */

struct slice {
    struct queue *queue;
    int error; /* the first; what comes behind it is left */
};

static void look_at(void *arg, struct spool_message *message)
{
    struct slice *slice = arg;

    if (slice->error == 0)
        slice->error = schedule_message(slice->queue, message);
    for (uint32_t i = 0; slice->error == 0 && i < message->recipient_count; i++)
        slice->error = follow(slice->queue, &message->recipients[i]);
}

/* A slice a turn, each looked at until memory suffices for all of it. */
static void go_on(void *arg)
{
    struct queue *q = arg;
    struct schedule *s = q->schedule;
    struct slice slice = {q};
    size_t cursor = s->cursor;
    bool more = spool_walk(q->spool, &cursor, SLICE, look_at, &slice);

    dispatch_kick(q);
    if (slice.error)
        return; /* the tick tries again */
    s->cursor = cursor;
    s->under_way = more;
    if (more)
        io_timer_set(s->timer, 0);
    else
        io_timer_clear(s->timer); /* the tick came before it */
}

void schedule_want(struct queue *q)
{
    q->schedule->wanted = true;
}

void schedule_tick(struct queue *q)
{
    struct schedule *s = q->schedule;

    if (s->wanted && !s->under_way) {
        s->under_way = true;
        s->wanted = false;
    }
    if (s->under_way)
        go_on(q);
}

int schedule_init(struct queue *q)
{
    return io_timer_new(q->loop, go_on, q, &q->schedule->timer);
}

void schedule_done(struct queue *q)
{
    io_timer_free(q->schedule->timer);
}

/* An address literal has colons of its own (RFC 5321 4.1.3), and ends with its bracket. */
struct span schedule_said_by(const struct sched_explanation *e)
{
    struct span to = e->destination;
    bool literal = to.size && to.data[0] == '[';
    ptrdiff_t end = span_find(to, literal ? ']' : ':');

    if (!event_is_reply(e->why))
        return SPAN("");
    return end < 0 ? to : span_first(to, (size_t)end + literal);
}
