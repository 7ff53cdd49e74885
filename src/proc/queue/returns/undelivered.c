/*
 * The states of a report to be, and its recipients. `busy` counts those that hold a buffer, a
 * thread or a call of another process: RETURNS_BUSY_MAX of these are under way, whatever a flood of
 * failures brings.
 */
#include "proc/queue/returns/undelivered.h"

#include "proc/queue/core/kick.h"
#include "proc/queue/core/settle.h"
#include "proc/queue/returns/return.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Of those that failed: some 30 MB, and long words of servers take more. A server that is well
 * writes as many reports in a second. */
enum { RETURNS_MAX = 8192, RETURNS_BYTES = 64 << 20 };
/* What each takes besides the texts beyond it: itself, and a block of its arena. */
enum { OWN_BYTES = sizeof(struct undelivered) + 2048 };
enum { REST_TICKS_MAX = 64 };

static bool is_busy(enum undelivered_state state)
{
    return state != UNDELIVERED_GATHERING && state != UNDELIVERED_EXPECTING &&
           state != UNDELIVERED_RESTING;
}

/* Whose turn it is next may begin. */
static void leave_busy(struct undelivered *u)
{
    if (!is_busy(u->state))
        return;
    u->queue->returns->busy--;
    io_defer(u->queue->loop, &u->queue->returns->kick);
}

/* The picture in return.h. FINDING follows itself: after the sender the postmaster is looked for.
 */
static bool may_follow(enum undelivered_state from, enum undelivered_state to)
{
    static const bool table[UNDELIVERED_STATE_COUNT][UNDELIVERED_STATE_COUNT] = {
        [UNDELIVERED_GATHERING] = {[UNDELIVERED_GATHERING] = true, /* new */
                                   [UNDELIVERED_EXPECTING] = true,
                                   [UNDELIVERED_LOADING] = true,
                                   [UNDELIVERED_RESTING] = true},
        [UNDELIVERED_EXPECTING] = {[UNDELIVERED_GATHERING] = true},
        [UNDELIVERED_LOADING] = {[UNDELIVERED_FINDING] = true,
                                 [UNDELIVERED_WRITING] = true,
                                 [UNDELIVERED_RESTING] = true},
        [UNDELIVERED_FINDING] = {[UNDELIVERED_FINDING] = true,
                                 [UNDELIVERED_WRITING] = true,
                                 [UNDELIVERED_RESTING] = true},
        [UNDELIVERED_WRITING] = {[UNDELIVERED_KEEPING] = true, [UNDELIVERED_RESTING] = true},
        [UNDELIVERED_KEEPING] = {[UNDELIVERED_RESTING] = true},
        [UNDELIVERED_RESTING] = {[UNDELIVERED_GATHERING] = true},
    };
    return table[from][to];
}

/* ---- how many ---- */

bool returns_have_room(const struct queue *q)
{
    return q->returns->failed.all < RETURNS_MAX && q->returns->bytes < RETURNS_BYTES;
}

static struct returns_tally *tally_of(const struct undelivered *u)
{
    struct returns *returns = u->queue->returns;

    return u->kind == REPORT_FAILED    ? &returns->failed
           : u->kind == REPORT_DELAYED ? &returns->delayed
                                       : &returns->receipts;
}

/* Others are bounded by their number alone (return.c, delay.c): they may not take the place of
 * failures. */
static void charge(struct undelivered *u, size_t bytes)
{
    if (u->kind != REPORT_FAILED)
        return;
    u->bytes += bytes;
    u->queue->returns->bytes += bytes;
    sched_spare(u->queue->sched, !returns_have_room(u->queue));
}

static void count_in(struct undelivered *u)
{
    u->queue->returns->count++;
    tally_of(u)->all++;
    charge(u, OWN_BYTES);
}

static void count_out(struct undelivered *u)
{
    struct queue *q = u->queue;

    q->returns->count--;
    tally_of(u)->all--;
    tally_of(u)->resting -= u->state == UNDELIVERED_RESTING;
    q->returns->bytes -= u->bytes;
    sched_spare(q->sched, !returns_have_room(q));
}

/* ---- states ---- */

static struct list *list_of(struct returns *returns, enum undelivered_state state)
{
    return state == UNDELIVERED_RESTING     ? &returns->resting
           : state == UNDELIVERED_EXPECTING ? &returns->expecting
           : state == UNDELIVERED_GATHERING ? &returns->gathering
                                            : &returns->under_way;
}

/* The one place where the state changes. */
void undelivered_set_state(struct undelivered *u, enum undelivered_state state)
{
    struct returns *returns = u->queue->returns;

    assert(may_follow(u->state, state));
    returns->busy += is_busy(state);
    leave_busy(u);
    tally_of(u)->resting += state == UNDELIVERED_RESTING;
    tally_of(u)->resting -= u->state == UNDELIVERED_RESTING;
    list_remove(&u->link);
    list_append(list_of(returns, state), &u->link);
    u->state = state;
}

/* ---- by message and kind ---- */

static struct list *bucket_of(const struct queue *q, const struct id *id, enum report_kind kind)
{
    struct returns *returns = q->returns;
    uint64_t hash = XXH3_64bits_withSeed(id->bytes, sizeof(id->bytes), returns->seed + kind);

    return &returns->buckets[hash % RETURNS_BUCKETS];
}

struct undelivered *undelivered_find(const struct queue *q, const struct id *id,
                                     enum report_kind kind)
{
    LIST_EACH(bucket_of(q, id, kind), link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, bucket);
        if (u->kind == kind && id_equal(&u->id, id))
            return u;
    }
    return NULL;
}

static size_t place_of(const struct undelivered *u, uint32_t recipient)
{
    size_t i = 0;

    while (i < u->count && u->causes[i].recipient != recipient)
        i++;
    return i;
}

struct spool_status *undelivered_cause(const struct queue *q, struct spool_recipient *recipient,
                                       struct undelivered **out)
{
    const struct id *id = &spool_recipient_message(recipient)->id;

    LIST_EACH(bucket_of(q, id, REPORT_FAILED), link)
    {
        struct undelivered *u = CONTAINER_OF(link, struct undelivered, bucket);
        size_t place = place_of(u, recipient->index);
        if (u->kind != REPORT_FAILED || !id_equal(&u->id, id) || place == u->count)
            continue;
        *out = u;
        return &u->causes[place];
    }
    return NULL;
}

/* ---- life ---- */

struct undelivered *undelivered_new(struct queue *q, const struct id *id, enum report_kind kind)
{
    struct undelivered *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->queue = q;
    u->id = *id;
    u->kind = kind;
    u->since_ms = io_loop_now_ms(q->loop);
    list_prepend(bucket_of(q, id, kind), &u->bucket);
    count_in(u);
    undelivered_set_state(u, UNDELIVERED_GATHERING);
    return u;
}

/* The buffer is the large part of it; who rests reads again. */
static void forget_load(struct undelivered *u)
{
    u->stored = NULL;
    free(u->header);
    u->header = NULL;
}

void undelivered_free(struct undelivered *u)
{
    dispatch_kick(u->queue); /* there is room for another one */
    leave_busy(u);
    forget_load(u);
    if (u->reader)
        spool_reader_close(u->queue->spool, u->reader);
    ipc_call_cancel(&u->call);
    list_remove(&u->link);
    list_remove(&u->bucket);
    count_out(u);
    u->queue->returns->ended_ms = io_loop_now_ms(u->queue->loop);
    settlement_free(u->settlement);
    arena_done(&u->arena);
    free(u->causes);
    free(u);
}

/* A receipt's message may be gone: its reader stays open. */
void undelivered_rest(struct undelivered *u)
{
    forget_load(u);
    settlement_free(u->settlement);
    u->settlement = NULL;
    if (u->reader && !undelivered_is_receipt(u)) {
        spool_reader_close(u->queue->spool, u->reader);
        u->reader = NULL;
    }
    u->ticks = 1u << u->rests;
    if (u->ticks < REST_TICKS_MAX)
        u->rests++;
    undelivered_set_state(u, UNDELIVERED_RESTING);
    dispatch_kick(u->queue); /* there is room for another one */
}

/* ---- recipients ---- */

static bool grow(struct undelivered *u)
{
    size_t capacity = u->capacity ? 2 * u->capacity : 2;
    struct spool_status *grown = reallocarray(u->causes, capacity, sizeof(*grown));

    if (!grown)
        return false;
    charge(u, (capacity - u->capacity) * sizeof(*grown));
    u->causes = grown;
    u->capacity = capacity;
    return true;
}

/* One that was released, and failed again before the sender was told, has a cause already. */
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
    charge(u, to->status.size + to->reply.size + to->host.size + to->detail.size);
    u->count += place == u->count;
    return 0;
}

/* When its report got too large: half of its recipients get one of their own. */
bool undelivered_split(struct undelivered *u)
{
    size_t half = u->count / 2;

    if (half && undelivered_is_receipt(u)) {
        u->count -= half;
        u->later += half;
        u->rests = 0; /* it has come further */
        return true;
    }
    struct undelivered *other = half ? undelivered_new(u->queue, &u->id, u->kind) : NULL;
    if (!other)
        return false;
    while (other->count < half && undelivered_add(other, &u->causes[u->count - 1]) == 0)
        u->count--;
    if (other->count == 0) {
        undelivered_free(other);
        return false;
    }
    undelivered_rest(other);
    u->rests = 0;
    return true;
}

bool undelivered_go_on(struct undelivered *u)
{
    if (!u->later)
        return false;
    memmove(u->causes, u->causes + u->count, u->later * sizeof(*u->causes));
    u->count = u->later;
    u->later = 0;
    u->rests = 0;
    undelivered_rest(u);
    return true;
}
