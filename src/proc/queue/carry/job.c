/*
 * One job's way (see the states in job.h). The bytes come from the parcel when it is still whole in
 * memory, else from the spool by a thread (load.c). The rule that all turns keep: job_free() while
 * a thread reads only marks the job as over; the read's completion frees it.
 */
#include "proc/queue/carry/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/dsn.h"
#include "proc/queue/carry/carriers.h"
#include "proc/queue/carry/outcome.h"
#include "proc/queue/core/kick.h"
#include "proc/queue/core/mutant.h"
#include "proc/queue/core/schedule.h"
#include "proc/queue/returns/wish.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void on_result(struct ipc_call *call, const struct ipc_message *reply);
static void on_chunk_taken(struct ipc_call *call, const struct ipc_message *reply);
static void on_loaded(struct job_load *load);
static void on_chunk_read(struct job_load *load);
static void lose(struct job *job);

/* Nothing of it counts any more. */
static void leave(struct job *job)
{
    list_remove(&job->link);
    list_remove(&job->by_number);
    job->carrier->job_count--;
    job->carrier->inline_bytes -= job->inline_bytes;
    ipc_call_cancel(&job->call);
    ipc_call_cancel(&job->chunk_call);
    job_unload(&job->disk, job->queue);
    settlement_free(job->settlement);
    job->settlement = NULL;
}

/* A job that a thread reads for can't go yet: it is only marked, and goes when the read is back.
 * One of which a word is on its way to the disk leaves at once, and its memory waits for that. */
static void job_free(struct job *job)
{
    struct queue *q = job->queue;

    job->over = job->disk.reading || job->announced;
    if (job->disk.reading)
        return;
    if (list_is_linked(&job->by_number))
        leave(job);
    if (!job->over)
        free(job);
    dispatch_kick(q);
}

/* The picture in job.h. LOADING after OFFERED ends in RUNNING: the carrier has the job already. */
static bool may_follow(enum job_state from, enum job_state to)
{
    switch (to) {
    case JOB_NEW:
        return false;
    case JOB_EARLY:
        return from == JOB_NEW || from == JOB_BLOCKED;
    case JOB_LOADING:
        return from != JOB_LOADING;
    case JOB_BLOCKED:
    case JOB_OFFERED:
        return from == JOB_NEW || from == JOB_EARLY || from == JOB_BLOCKED || from == JOB_LOADING;
    case JOB_RUNNING:
        return true;
    }
    return false;
}

/* The one place where the state changes, and with it the list in which the carrier finds it. */
static void move_to(struct job *job, struct list *list, enum job_state state)
{
    assert(may_follow(job->state, state));
    list_remove(&job->link);
    list_append(list, &job->link);
    job->state = state;
    if (list == &job->carrier->blocked)
        carrier_wait(job->carrier);
}

/* The address book of a job: from memory or from disk. */
static const struct envelope_recipient *recipient_of(const struct job *job,
                                                     const struct parcel *parcel, uint32_t index)
{
    return parcel ? parcel_recipient(parcel, index)
                  : spool_stored_recipient(job->disk.stored, index);
}

static struct wish_source source_of(const struct job *job, const struct parcel *parcel)
{
    if (parcel)
        return (struct wish_source){&parcel->envelope, parcel->expansions, parcel->expansion_count};
    return (struct wish_source){&job->disk.stored->envelope, job->disk.stored->expansions,
                                job->disk.stored->expansion_count};
}

/* Since the job began, while its bytes were read or it waited for room: what counts when it is on
 * the disk counts for what hasn't gone yet. */
static bool is_held_meanwhile(const struct spool_recipient *r)
{
    return (r->in_act || r->state == SPOOL_RECIPIENT_HELD) && QUEUE_MUTANT != MUTANT_HOLD_OVERTAKEN;
}

/* 0, or -EBADMSG when one isn't in the envelope. An alias that wasn't opened, since all that it
 * stands for were there (accept/expand.c), is through: perhaps no item is left. */
static int fill_recipients(struct job *job, const struct parcel *parcel, struct arena *arena,
                           struct ipc_job_recipient *out)
{
    struct wish_source source = source_of(job, parcel);
    bool receipts =
        source.envelope->wish_count && wish_may_have_receipts(job->queue->conf, source.envelope);
    uint32_t kept = 0;
    int result = 0;

    for (uint32_t i = 0; i < job->count; i++) {
        struct job_item item = job->items[i];
        uint32_t index = item.recipient->index;
        const struct envelope_recipient *r = recipient_of(job, parcel, index);
        struct envelope_wish wish = wish_find(&source, index);
        if (is_held_meanwhile(item.recipient)) {
            outcome_untried(job->queue, &item);
            continue;
        }
        item.wants_receipt = receipts && dsn_wants(wish.notify, ENVELOPE_NOTIFY_SUCCESS);
        if (r && r->flags & ENVELOPE_RECIPIENT_DUPLICATE) {
            outcome_duplicate(job->queue, &item);
            continue;
        }
        if (r)
            out[kept] = (struct ipc_job_recipient){.index = index,
                                                   .address = r->address,
                                                   .original = r->original,
                                                   .notify = wish.notify,
                                                   .orcpt = wish_original(&wish, r, arena)};
        else
            result = -EBADMSG;
        job->items[kept++] = item;
    }
    job->count = kept;
    return result;
}

/* Longer than a frame may be: its body comes piece by piece, each when the one before was taken. */
static bool is_streamed(const struct job *job)
{
    return job->disk.stored && job->disk.stored->body_bytes > IPC_CHUNK_MAX;
}

static struct span next_piece(const struct job *job)
{
    return span_first(
        span_of(job->disk.chunk + job->disk.chunk_at, job->disk.chunk_size - job->disk.chunk_at),
        IPC_CHUNK_MAX);
}

/* Sends the job, `offered` without its body; its call holds no pointer into parcel or stored
 * afterwards. */
static int send_job(struct job *job, const struct parcel *parcel,
                    struct ipc_job_recipient *recipients, bool offered)
{
    const struct envelope *e = parcel ? &parcel->envelope : &job->disk.stored->envelope;
    struct ipc_message m = {.type = IPC_JOB};
    struct ipc_job *wire = &m.job;

    *wire = (struct ipc_job){.job = job->number,
                             .id = e->id,
                             .sender = e->sender,
                             .body_type = e->body,
                             .smtputf8 = e->smtputf8,
                             .accepted_us = e->accepted_us,
                             .returned = e->returned,
                             .envelope_id = e->envelope_id,
                             .next_hop = job->next_hop,
                             .recipients = recipients,
                             .recipient_count = job->count};
    if (parcel) {
        wire->header = parcel->header;
        wire->body = offered ? SPAN("") : parcel->body;
        wire->size_bytes = parcel->body.size;
    } else {
        wire->header = span_of(job->disk.header, job->disk.stored->header_bytes);
        wire->size_bytes = job->disk.stored->body_bytes;
        if (!offered && !is_streamed(job))
            wire->body = next_piece(job);
    }
    job->call.fn = on_result;
    return ipc_call(job->carrier->channel, &job->call, &m);
}

/* What is damaged won't be whole later; what can't be read now, perhaps. */
static bool is_temporary(int error)
{
    return error != -EBADMSG && error != -EINVAL;
}

static const char *why_unread(int error)
{
    return error == -EBADMSG  ? "the stored message is damaged"
           : error == -ENOMEM ? "the server is short of memory"
                              : "the stored message can't be read";
}

/* Our own trouble, and told as that: no destination pauses for it. */
static void fail(struct job *job, int error)
{
    log_error("can't hand on a message: %s", strerror(-error));
    for (uint32_t i = 0; i < job->count; i++)
        outcome_fail(job->queue, &job->items[i], is_temporary(error), why_unread(error));
    job_free(job);
}

/* A piece is in the channel: behind the chunk's last one the next chunk is read while the carrier
 * takes it. */
static void go_ahead(struct job *job, size_t sent)
{
    job->disk.chunk_at += sent;
    job->disk.body_at += sent;
    if (job->disk.chunk_at < job->disk.chunk_size)
        job->chunk_ready = true;
    else if (job->disk.body_at < job->disk.stored->body_bytes)
        job_load_chunk(&job->disk, job->queue, on_chunk_read);
}

static void send_bytes(struct job *job, struct span bytes)
{
    struct ipc_message m = {.type = IPC_JOB_BODY, .job_body = {.job = job->number, .bytes = bytes}};

    job->chunk_call.fn = on_chunk_taken;
    int r = ipc_call(job->carrier->channel, &job->chunk_call, &m);
    job->chunk_ready = false;
    if (r == -EAGAIN || r == -ENOMEM) /* the carrier waits for it: it goes later */
        move_to(job, &job->carrier->blocked, JOB_RUNNING);
    else if (r == 0 && job->disk.stored && !job->disk.error)
        go_ahead(job, bytes.size);
}

/* When it can't be read an empty one lets the carrier drop the job. */
static void send_chunk(struct job *job)
{
    send_bytes(job, job->disk.error ? SPAN("") : next_piece(job));
}

/* The bytes of its body that go at once, when they may. */
static uint32_t first_bytes(const struct job *job, const struct parcel *parcel)
{
    return (uint32_t)(parcel ? parcel->body.size : next_piece(job).size);
}

/* Only with a next hop: the mailbox process always takes what it is given. */
static bool must_offer(const struct job *job, uint32_t bytes)
{
    return job->next_hop.size && bytes && job->carrier->inline_bytes + bytes > CARRIER_INLINE_MAX;
}

/* The small body went with the job, so what was read of it isn't needed any more; of a large one
 * the first chunk follows at once. */
static void is_sent(struct job *job, uint32_t bytes)
{
    job->inline_bytes = bytes;
    job->carrier->inline_bytes += bytes;
    move_to(job, &job->carrier->jobs, JOB_RUNNING);
    if (is_streamed(job))
        send_chunk(job);
    else
        job_unload(&job->disk, job->queue);
}

/* 0 also when nobody is left to send it to. */
static int try_to_send(struct job *job, const struct parcel *parcel, bool offered)
{
    struct ipc_job_recipient recipients[IPC_JOB_RECIPIENTS_MAX] __attribute__((uninitialized));
    struct arena arena = ARENA_INIT;
    int r = fill_recipients(job, parcel, &arena, recipients);

    if (r == 0 && job->count)
        r = carrier_takes_jobs(job->carrier) ? send_job(job, parcel, recipients, offered) : -EPIPE;
    arena_done(&arena);
    return r;
}

/* A job that can't go there any more is lost before it went: booked as not tried. */
static void send_whole(struct job *job, const struct parcel *parcel)
{
    struct carrier *c = job->carrier;
    uint32_t bytes = first_bytes(job, parcel);
    bool offered = must_offer(job, bytes);
    int r = try_to_send(job, parcel, offered);

    if (r == -EAGAIN || r == -ENOMEM) { /* no attempt was made: it goes later */
        move_to(job, &c->blocked, JOB_BLOCKED);
    } else if (r == -EPIPE) {
        lose(job);
    } else if (r < 0) {
        fail(job, r);
    } else if (job->count == 0) {
        job_free(job);
    } else if (offered) {
        move_to(job, &c->jobs, JOB_OFFERED);
        job_unload(&job->disk, job->queue);
    } else {
        is_sent(job, bytes);
    }
}

/* Its bytes when they are in memory, else NULL. */
static const struct parcel *parcel_of(struct job *job)
{
    struct parcels *parcels = &job->queue->parcels;
    const struct parcel *parcel = parcel_find(parcels, &job->message->id);
    bool hit = parcel && parcel->whole;

    *(hit ? &parcels->hits : &parcels->misses) += 1;
    return hit ? parcel : NULL;
}

static void send_read(struct job *job)
{
    move_to(job, &job->carrier->jobs, JOB_RUNNING);
    send_chunk(job);
}

/* A carrier that waits for the body is told when there is none, as after a failed read. */
static void read_it(struct job *job)
{
    move_to(job, &job->carrier->jobs, JOB_LOADING);
    job_unload(&job->disk, job->queue); /* what a read that failed has left */
    int r = job_load(&job->disk, job->queue, job->message, on_loaded);
    if (r < 0 && ipc_call_is_pending(&job->call)) {
        job->disk.error = r;
        send_read(job);
    } else if (r < 0) {
        fail(job, r);
    }
}

/* ---- sooner than the log says ---- */

/* Not tried now, and perhaps in a moment. */
static void put_off(struct job *job)
{
    for (uint32_t i = 0; i < job->count; i++)
        outcome_untried(job->queue, &job->items[i]);
    job_free(job);
}

/* What is on its way to the disk gives one of them another time, perhaps: then it isn't his turn.
 */
static bool is_settling(const struct job *job)
{
    for (uint32_t i = 0; i < job->count; i++)
        if (job->items[i].recipient->is_settling)
            return true;
    return settle_waits(job->queue, &job->message->id);
}

static void go(struct job *job)
{
    const struct parcel *parcel = job->disk.stored ? NULL : parcel_of(job);

    if (job->disk.stored || parcel)
        send_whole(job, parcel);
    else
        read_it(job);
}

static void on_announced(void *arg, int error)
{
    struct job *job = arg;

    job->announced = false;
    if (job->over)
        job_free(job);
    else if (error || job->queue->closing || is_settling(job))
        put_off(job);
    else
        go(job);
}

/* Their way was changed, or the clock was set back. Their number. */
static uint32_t find_early(const struct job *job, struct spool_status *out)
{
    int64_t now_us = clock_wall_us();
    uint32_t count = 0;

    for (uint32_t i = 0; i < job->count; i++) {
        const struct spool_recipient *r = job->items[i].recipient;
        if (is_held_meanwhile(r) || schedule_is_known_due(r, now_us))
            continue;
        out[count++] = (struct spool_status){.recipient = r->index,
                                             .outcome = SPOOL_OUTCOME_RETRIED,
                                             .attempts = r->attempts,
                                             .time_us = now_us,
                                             .next_attempt_us = now_us,
                                             .detail = SPAN("sooner than planned")};
    }
    return count;
}

static void announce(struct job *job, const struct spool_status *early, uint32_t count)
{
    struct queue *q = job->queue;

    if (spool_status(q->spool, job->message, early, count, on_announced, job) < 0) {
        put_off(job);
        return;
    }
    job->announced = true;
    move_to(job, &job->carrier->jobs, JOB_EARLY);
    committer_kick(&q->committer);
}

/* What is under way at a crash is known by its time in the log (schedule_doubt()), so that comes
 * before the attempt. */
static void begin(struct job *job)
{
    struct spool_status early[IPC_JOB_RECIPIENTS_MAX] __attribute__((uninitialized));
    bool unsaid = QUEUE_MUTANT == MUTANT_UNANNOUNCED;
    uint32_t count = unsaid ? 0 : find_early(job, early);

    if (!unsaid && is_settling(job))
        put_off(job);
    else if (count)
        announce(job, early, count);
    else
        go(job);
}

static void give_body(struct job *job)
{
    const struct parcel *parcel = job->disk.stored ? NULL : parcel_of(job);

    if (job->disk.stored) {
        send_read(job);
    } else if (parcel) {
        move_to(job, &job->carrier->jobs, JOB_RUNNING);
        send_bytes(job, parcel->body);
    } else {
        read_it(job);
    }
}

/* Items and next hop lie behind the job, in one piece of memory: there may be thousands, and they
 * end together. What is needed to book its outcome is taken now, while nothing is lost without. */
int job_start(struct queue *q, const struct route *route, const struct job_item *items,
              uint32_t count)
{
    size_t hop = route->next_hop.size;
    struct job *job = calloc(1, sizeof(*job) + count * sizeof(*items) + hop);

    if (!job)
        return -ENOMEM;
    job->settlement = settlement_new(q, count);
    if (!job->settlement) {
        free(job);
        return -ENOMEM;
    }
    job->queue = q;
    job->message = spool_recipient_message(items[0].recipient);
    job->number = ++q->dispatch->last_number;
    job->count = count;
    memcpy(job->items, items, count * sizeof(*items));
    job->next_hop = span_of((char *)&job->items[count], hop);
    if (hop)
        memcpy(&job->items[count], route->next_hop.data, hop);
    job->carrier = &q->dispatch->carriers[lane_of(route)];
    job->carrier->job_count++;
    list_append(numbers_list(&job->carrier->numbered, job->number), &job->by_number);
    begin(job);
    return 0;
}

/* RUNNING: the job itself went, a piece of its body didn't. */
static void on_retry(struct list *link)
{
    struct job *job = CONTAINER_OF(link, struct job, link);

    if (job->state == JOB_RUNNING)
        give_body(job);
    else
        begin(job);
}

/* Before RUNNING no body can have reached anybody: "uncertain" would be a lie. */
static void tell_outcome(struct job *job, const struct ipc_job_result *result)
{
    struct settlement *settlement = job->settlement;

    job->settlement = NULL;
    outcome_take(job->carrier, settlement, job->items, job->count, result,
                 job->state == JOB_RUNNING);
}

/* The rest of it couldn't be read, so the carrier had to let go. That is nobody's trouble but ours;
 * what a station refused before stays refused. */
static void tell_unread(struct job *job, const struct ipc_job_result *result)
{
    struct ipc_job_outcome ours[IPC_JOB_RECIPIENTS_MAX] __attribute__((uninitialized));
    struct ipc_job_result told = {.outcomes = ours, .mx_set = result->mx_set};
    int error = job->disk.error;

    log_error("can't hand on the rest of a message: %s", strerror(-error));
    for (size_t i = 0; i < result->outcome_count && i < IPC_JOB_RECIPIENTS_MAX; i++) {
        const struct ipc_job_outcome *o = &result->outcomes[i];
        ours[i] = o->outcome == IPC_OUTCOME_DEFERRED
                      ? outcome_ours(o->index, is_temporary(error), why_unread(error))
                      : *o;
        told.outcome_count++;
    }
    tell_outcome(job, &told);
}

static void lose(struct job *job)
{
    if (job->over)
        return;
    tell_outcome(job, NULL);
    job_free(job);
}

static void on_lose(struct list *link)
{
    lose(CONTAINER_OF(link, struct job, link));
}

/* The body of an OFFERED job goes. */
static void on_wanted(struct carrier *carrier, uint64_t number)
{
    LIST_EACH(numbers_list(&carrier->numbered, number), link)
    {
        struct job *job = CONTAINER_OF(link, struct job, by_number);
        if (job->number != number)
            continue;
        if (job->state == JOB_OFFERED)
            give_body(job);
        return;
    }
}

const struct carrier_user job_user = {.retry = on_retry, .lose = on_lose, .wanted = on_wanted};

/* May come before all of the body was sent: the station has refused it half way. */
static void on_result(struct ipc_call *call, const struct ipc_message *reply)
{
    struct job *job = CONTAINER_OF(call, struct job, call);

    if (reply && !job->disk.reading && job->disk.error)
        tell_unread(job, &reply->job_result);
    else
        tell_outcome(job, reply ? &reply->job_result : NULL);
    job_free(job);
}

static void on_loaded(struct job_load *load)
{
    struct job *job = CONTAINER_OF(load, struct job, disk);

    if (job->over)
        job_free(job);
    else if (ipc_call_is_pending(&job->call))
        send_read(job);
    else if (job->disk.error)
        fail(job, job->disk.error);
    else
        send_whole(job, NULL);
}

static void on_chunk_read(struct job_load *load)
{
    struct job *job = CONTAINER_OF(load, struct job, disk);

    job->chunk_ready = true;
    if (job->over)
        job_free(job);
    else if (job->carrier->channel && !ipc_call_is_pending(&job->chunk_call))
        send_chunk(job);
}

static void on_chunk_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    struct job *job = CONTAINER_OF(call, struct job, chunk_call);

    if (reply && job->chunk_ready)
        send_chunk(job); /* else the read sends it, or the result tells the rest */
}
