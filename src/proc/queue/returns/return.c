/*
 * Gathering: whose report is begun when, and with whom. The rest of its way is load.c's (envelope
 * and header), write.c's (the report) and book.c's (the outcome).
 */
#include "proc/queue/returns/internal.h"

#include "base/log.h"
#include "mail/dsn.h"
#include <errno.h>
#include <stdlib.h>

enum {
    GATHER_MS = 2000,     /* the longest wait for others of the message that are being attempted */
    RECEIPTS_MAX = 10000, /* each keeps its message's bytes */
    OPEN_MAX = 100,       /* beyond, what is given back waits */
};

static bool is_busy(enum undelivered_state state)
{
    return state != UNDELIVERED_GATHERING && state != UNDELIVERED_RESTING;
}

/* Whose turn it is next may begin. */
static void leave_busy(struct undelivered *u)
{
    if (!is_busy(u->state))
        return;
    u->queue->returns.busy--;
    io_defer(u->queue->loop, &u->queue->returns.kick);
}

/* The one place where the state changes. */
void undelivered_set_state(struct undelivered *u, enum undelivered_state state)
{
    struct returns *returns = &u->queue->returns;

    returns->busy += is_busy(state);
    leave_busy(u);
    list_remove(&u->link);
    list_append(state == UNDELIVERED_RESTING ? &returns->resting : &returns->open, &u->link);
    u->state = state;
}

struct undelivered *undelivered_new(struct queue *q, const struct id *id, enum report_kind kind)
{
    struct undelivered *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->queue = q;
    u->id = *id;
    u->kind = kind;
    u->since_ms = io_loop_now_ms(q->loop);
    q->returns.count++;
    q->returns.receipts += undelivered_is_receipt(u);
    undelivered_set_state(u, UNDELIVERED_GATHERING);
    return u;
}

bool returns_are_open(const struct queue *q)
{
    return q->returns.count - q->returns.receipts < OPEN_MAX;
}

void undelivered_free(struct undelivered *u)
{
    dispatch_kick(u->queue); /* there is room for another one */
    leave_busy(u);
    undelivered_forget_load(u);
    if (u->reader)
        spool_reader_close(u->queue->spool, u->reader);
    ipc_call_cancel(&u->call);
    list_remove(&u->link);
    u->queue->returns.count--;
    u->queue->returns.receipts -= undelivered_is_receipt(u);
    arena_done(&u->arena);
    free(u->causes);
    free(u);
}

/* A receipt's message may be gone: its reader stays open. */
void undelivered_rest(struct undelivered *u)
{
    undelivered_forget_load(u);
    if (u->reader && !undelivered_is_receipt(u)) {
        spool_reader_close(u->queue->spool, u->reader);
        u->reader = NULL;
    }
    undelivered_set_state(u, UNDELIVERED_RESTING);
}

static bool grow(struct undelivered *u)
{
    size_t capacity = u->capacity ? 2 * u->capacity : 2;
    struct spool_status *grown = reallocarray(u->causes, capacity, sizeof(*grown));

    if (!grown)
        return false;
    u->causes = grown;
    u->capacity = capacity;
    return true;
}

/* Where its cause goes: one that was released, and failed again before the sender was told, has one
 * already. */
static size_t place_of(const struct undelivered *u, uint32_t recipient)
{
    size_t i = 0;

    while (i < u->count && u->causes[i].recipient != recipient)
        i++;
    return i;
}

int undelivered_add(struct undelivered *u, const struct spool_status *cause)
{
    size_t place = place_of(u, cause->recipient);

    if (place == u->capacity && !grow(u))
        return -ENOMEM;
    struct spool_status *to = &u->causes[place];
    *to = *cause;
    to->status = arena_copy(&u->arena, cause->status);
    to->reply = arena_copy(&u->arena, cause->reply);
    to->host = arena_copy(&u->arena, cause->host);
    to->detail = arena_copy(&u->arena, cause->detail);
    to->tls = to->remote_id = SPAN("");
    if (!to->status.data || !to->reply.data || !to->host.data || !to->detail.data)
        return -ENOMEM;
    u->count += place == u->count;
    return 0;
}

/* When its report got too large: half of its recipients get one of their own. */
bool undelivered_split(struct undelivered *u)
{
    size_t half = u->count / 2;
    struct undelivered *other = half ? undelivered_new(u->queue, &u->id, u->kind) : NULL;

    if (!other)
        return false;
    while (other->count < half && undelivered_add(other, &u->causes[u->count - 1]) == 0)
        u->count--;
    if (other->count == 0) {
        undelivered_free(other);
        return false;
    }
    struct spool_message *message = spool_find(u->queue->spool, &u->id);
    if (undelivered_is_receipt(u) &&
        (!message || spool_reader_open(u->queue->spool, message, &other->reader) < 0))
        undelivered_free(other); /* its message is gone, and so are these receipts */
    else
        undelivered_rest(other);
    return true;
}

/* ---- gathering ---- */

static struct undelivered *find(const struct list *list, const struct id *id, enum report_kind kind)
{
    LIST_EACH(list, link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, link);
        if (u->kind == kind && id_equal(&u->id, id))
            return u;
    }
    return NULL;
}

bool undelivered_is_open(const struct queue *q, const struct id *id, enum report_kind kind)
{
    return find(&q->returns.open, id, kind) || find(&q->returns.resting, id, kind);
}

static struct undelivered *gathering_for(struct queue *q, const struct id *id,
                                         enum report_kind kind)
{
    LIST_EACH(&q->returns.open, link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, link);
        if (u->state == UNDELIVERED_GATHERING && u->kind == kind && id_equal(&u->id, id) &&
            u->count < REPORT_RECIPIENTS_MAX)
            return u;
    }
    return undelivered_new(q, id, kind);
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

/* Then nobody can be told of what was in it: it stays held until an administrator removes it. */
static bool is_damaged(const struct undelivered *u)
{
    const struct spool_message *message = spool_find(u->queue->spool, &u->id);
    return message && message->flags & SPOOL_MESSAGE_DAMAGED;
}

static void start(struct undelivered *u)
{
    bool receipt = undelivered_is_receipt(u);

    if (expects_more(u))
        return; /* the tick looks again */
    if (!receipt && (is_damaged(u) || !undelivered_still_waits(u))) {
        undelivered_free(u);
        return;
    }
    if ((u->needs_report && !u->queue->returns.report) || undelivered_load(u) < 0)
        undelivered_rest(u);
}

static void on_kick(struct io_deferred *deferred)
{
    struct queue *q = CONTAINER_OF(deferred, struct queue, returns.kick);

    LIST_EACH(&q->returns.open, link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, link);
        if (q->returns.busy >= RETURNS_BUSY_MAX)
            return;
        if (u->state == UNDELIVERED_GATHERING)
            start(u);
    }
}

/* ---- in and out ---- */

void return_to_sender(struct queue *q, struct spool_recipient *recipient,
                      const struct spool_status *cause)
{
    const struct id *id = &spool_recipient_message(recipient)->id;
    struct undelivered *u = gathering_for(q, id, REPORT_FAILED);

    if (!u || undelivered_add(u, cause) < 0) {
        log_error("out of memory: a recipient is held instead of being returned");
        if (u && !u->count)
            undelivered_free(u);
        return;
    }
    io_defer(q->loop, &q->returns.kick);
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
        q->returns.receipts < RECEIPTS_MAX ? gathering_for(q, &message->id, kind) : NULL;

    if (!u || !keep_message(u, message) || undelivered_add(u, what) < 0) {
        log_warn("a receipt was left out: there are too many, or there is no memory");
        if (u && !u->count)
            undelivered_free(u);
        return;
    }
    io_defer(q->loop, &q->returns.kick);
}

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

void returns_tick(struct queue *q)
{
    LIST_EACH(&q->returns.resting, link)
    undelivered_set_state(CONTAINER_OF(link, struct undelivered, link), UNDELIVERED_GATHERING);
    if (!q->closing && !list_is_empty(&q->returns.open))
        io_defer(q->loop, &q->returns.kick);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct queue *q = owner;

    if (q->returns.report == channel)
        q->returns.report = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_role report_role = {.peer_name = "report", .lost = on_lost};

int returns_report(struct queue *q, int fd)
{
    struct ipc_channel *old = q->returns.report;
    int r = ipc_channel_new(q->loop, fd, &report_role, q, &q->returns.report);

    if (r == 0)
        ipc_channel_free(old);
    return r;
}

void returns_init(struct queue *q)
{
    list_init(&q->returns.open);
    list_init(&q->returns.resting);
    q->returns.kick.fn = on_kick;
}

void returns_done(struct queue *q)
{
    struct list *link;
    struct ipc_channel *report = q->returns.report;

    q->returns.report = NULL;
    ipc_channel_free(report);
    while ((link = list_take_first(&q->returns.open)) ||
           (link = list_take_first(&q->returns.resting)))
        undelivered_free(CONTAINER_OF(link, struct undelivered, link));
    io_defer_cancel(&q->returns.kick);
}
