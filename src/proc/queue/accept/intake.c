/*
 * Commits: a message is checked, expanded, given to the spool, and answered when it is sealed.
 */
#include "proc/queue/accept/intake.h"
#include "proc/queue/accept/commit.h"

#include "base/clock.h"
#include "base/log.h"
#include "proc/queue/accept/pressure.h"
#include "proc/queue/accept/upload.h"
#include "proc/queue/core/mutant.h"
#include <errno.h>
#include <stdlib.h>

static void commit_free(struct commit *c)
{
    ipc_call_cancel(&c->call);
    list_remove(&c->link);
    list_remove(&c->room_link);
    known_done(&c->known);
    c->queue->committer.messages--;
    free(c);
}

static void reply(struct ipc_channel *channel, uint64_t token, enum ipc_commit_result result,
                  const char *text)
{
    struct ipc_message message = {
        .type = IPC_COMMITTED,
        .committed = {.result = (uint8_t)result, .text = span_from_cstr(text)}};
    ipc_reply(channel, token, &message);
}

static void count(struct queue *q, enum ipc_commit_result result)
{
    if (result == IPC_COMMIT_ACCEPTED)
        q->accepted++;
    else if (result == IPC_COMMIT_DEFERRED)
        q->deferred++;
    else
        q->rejected++;
}

/* The reply and the credit go together: while the disk is slow the frame's bytes stay counted, and
 * smtpd runs out of room to send more. A message that isn't whole in memory (a large body) isn't
 * worth caching. */
static void answer(struct commit *c, enum ipc_commit_result result, const char *text)
{
    if (!c->own)
        count(c->queue, result);
    if (result == IPC_COMMIT_ACCEPTED && c->parcel->whole)
        parcel_cache(&c->queue->parcels, c->parcel);
    else
        parcel_free(&c->queue->parcels, c->parcel);
    if (c->peer) {
        reply(c->peer->channel, c->token, result, text);
        ipc_release(c->peer->channel, IPC_CLASS_BODY, c->held_bytes);
    }
    if (c->answered)
        c->answered(c->arg, result);
    commit_free(c);
}

/* It goes into header fields, replies and what people read: one line, and nothing that an address
 * can't hold. smtpd has parsed it, but an smtpd may be taken over. */
static bool is_address(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return false;
    return true;
}

static bool has_addresses(const struct envelope *e)
{
    bool all = is_address(e->sender);

    for (size_t i = 0; all && i < e->recipient_count; i++)
        all = e->recipients[i].address.size > 0 && is_address(e->recipients[i].address) &&
              is_address(e->recipients[i].original);
    return all;
}

enum { ID_AGE_MAX_MS = 2 * 86400 * 1000 };

/* The book keeps a message in the week of its id: one far from now would open a week of its own, or
 * fall into one that was deleted, and have no entry. Two days: longer than any session takes and
 * any clock is usually wrong by. */
static bool is_timely(const struct id *id)
{
    int64_t age_ms = clock_wall_us() / 1000 - id_time_ms(id);
    return age_ms <= ID_AGE_MAX_MS && age_ms >= -(int64_t)ID_AGE_MAX_MS;
}

/* What smtpd may not say about a message; NULL when it is fine. Rejected for good: an honest smtpd
 * says nothing of the kind, so trying again doesn't help. */
static const char *objection(const struct parcel *p, uint64_t upload)
{
    const struct envelope *e = &p->envelope;

    if (id_is_zero(&e->id))
        return "the message has no id";
    if (e->recipient_count == 0)
        return "the message has no recipient";
    if (!has_addresses(e))
        return "an address holds control bytes or nothing";
    if (!envelope_wishes_are_sound(e))
        return "what its sender wants to be told can't be read";
    if (!upload && p->body.size != e->size_bytes)
        return "the message is not as long as announced";
    return NULL;
}

/* What the next attempt may do better, because it has a new id and new tickets, or goes through a
 * session that knows our limits: after a reload the older ones have others for hours, and each
 * recipient was told 250 by theirs. NULL when it is fine. */
static const char *hindrance(struct queue_peer *peer, const struct parcel *p, struct span tickets)
{
    const struct conf_queue *conf = peer->queue->conf;
    int64_t now_ms = clock_wall_us() / 1000;
    /* Programs here don't send again "for the rest" (smtpd/listener.c). Whether it is one, the
     * tickets tell. */
    uint32_t recipients_max = p->envelope.client.uid == UINT32_MAX ? conf->recipients_max : 0;

    if (recipients_max && p->envelope.recipient_count > recipients_max)
        return "the message has too many recipients";
    if (conf->message_size_max && p->envelope.size_bytes > conf->message_size_max)
        return "the message is too large";
    if (!is_timely(&p->envelope.id))
        return "the clock was changed";
    if (id_watch_take(&peer->origin->ids, &p->envelope.id, now_ms) < 0)
        return "its id can't be used";
    if (!tickets_take(&peer->queue->tickets, &p->envelope, tickets))
        return "its recipients must be asked for again";
    return NULL;
}

/* The keys by which the book's chain commits to personal fields, the time, and who is a duplicate:
 * ours, not smtpd's. */
static int complete_envelope(struct queue *q, struct envelope *e)
{
    e->accepted_us = clock_wall_us();
    for (size_t i = 0; i < e->recipient_count; i++) {
        e->recipients[i].flags &= ENVELOPE_RECIPIENT_EXPANDS;
        if (queue_random(&q->random, e->recipients[i].key, ENVELOPE_KEY_BYTES) < 0)
            return -EIO;
    }
    return 0;
}

static void on_expanded(struct commit *c, int error);

static struct commit *commit_new(struct queue_peer *peer, const struct ipc_arrival *arrival,
                                 struct parcel *parcel)
{
    struct commit *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    *c = (struct commit){.queue = peer->queue,
                         .peer = peer,
                         .token = arrival->token,
                         .upload = arrival->message->commit.upload,
                         .held_bytes = ipc_hold(arrival),
                         .parcel = parcel,
                         .expanded = on_expanded};
    list_append(&peer->commits, &c->link);
    c->queue->committer.messages++;
    return c;
}

static void refuse(struct queue *q, const struct ipc_arrival *arrival,
                   enum ipc_commit_result result, const char *text)
{
    count(q, result);
    reply(arrival->channel, arrival->token, result, text);
}

/* Checks that cost nothing come first. The id and the tickets are used up by hindrance() even if
 * memory then fails: smtpd tries again with new ones. */
void intake_commit(struct queue_peer *peer, const struct ipc_arrival *arrival)
{
    struct queue *q = peer->queue;
    const struct ipc_commit *m = &arrival->message->commit;
    struct parcel *parcel;

    if (q->pressure->defer || q->closing) {
        refuse(q, arrival, IPC_COMMIT_DEFERRED,
               q->closing ? "the server is shutting down" : q->pressure->text);
        return;
    }
    int r = parcel_new(&q->parcels, m->envelope, m->header, m->body, &parcel);
    if (r < 0) {
        bool memory = r == -ENOMEM;
        refuse(q, arrival, memory ? IPC_COMMIT_DEFERRED : IPC_COMMIT_REJECTED,
               memory         ? "out of memory"
               : r == -EEXIST ? "a message with this id is there already"
                              : "the envelope is malformed");
        return;
    }
    parcel->whole = m->upload == 0;
    const char *why_not = objection(parcel, m->upload);
    const char *not_now = why_not ? NULL : hindrance(peer, parcel, m->tickets);
    struct commit *c = NULL;
    if (!why_not && !not_now && complete_envelope(q, &parcel->envelope) == 0)
        c = commit_new(peer, arrival, parcel);
    if (!c) {
        parcel_free(&q->parcels, parcel);
        refuse(q, arrival, why_not ? IPC_COMMIT_REJECTED : IPC_COMMIT_DEFERRED,
               why_not   ? why_not
               : not_now ? not_now
                         : "out of memory");
        return;
    }
    commit_expand(c);
}

static const char *trouble(int error)
{
    switch (error) {
    case -ENOSPC:
        return "the disk is full";
    case -ENOMEM:
        return "out of memory";
    case -ECANCELED:
        return "the server is shutting down";
    default:
        return "the message could not be written to disk";
    }
}

/* Sealed, or not (rule 6): only now may anybody be told. */
static void on_sealed(void *arg, int error)
{
    struct commit *c = arg;

    if (error)
        log_warn("a message could not be kept: %s", strerror(-error));
    answer(c, error ? IPC_COMMIT_DEFERRED : IPC_COMMIT_ACCEPTED, error ? trouble(error) : "");
}

static void wait_for_room(struct commit *c)
{
    c->state = COMMIT_WAITING;
    if (!list_is_linked(&c->room_link))
        list_append(&c->queue->waiting_room, &c->room_link);
}

/* What will fail again in the same way: the message is rejected, for else its client would come
 * back with it for days. */
static bool is_our_fault(int error)
{
    return error == -EEXIST || error == -EMSGSIZE || error == -EINVAL;
}

/* Gives it to the spool. */
static int append(struct commit *c)
{
    struct parcel *p = c->parcel;
    struct spool_accept accept = {.envelope = &p->envelope,
                                  .header = p->header,
                                  .body = p->body,
                                  .expansions = p->expansions,
                                  .expansion_count = p->expansion_count,
                                  .first_attempt_us = p->envelope.accepted_us};

    if (c->upload) {
        accept.upload = upload_complete(c->peer, c->upload);
        /* A commit that overtook its chunks, or announced another size: smtpd waits for the answer
         * to its last chunk first, so that isn't an honest one. */
        if (!accept.upload || spool_upload_size(accept.upload) != p->envelope.size_bytes)
            return -EINVAL;
    }
    int r = spool_accept(c->queue->spool, &accept, on_sealed, c);
    if (r == 0 && c->upload)
        upload_taken(c->peer, c->upload);
    return r;
}

/* What must never happen (core/mutant.h). */
static void reply_early(struct commit *c)
{
    reply(c->peer->channel, c->token, IPC_COMMIT_ACCEPTED, "");
    ipc_release(c->peer->channel, IPC_CLASS_BODY, c->held_bytes);
    list_remove(&c->link);
    c->peer = NULL;
}

/* Also called again from the waiting room. */
static void proceed(struct commit *c)
{
    struct queue *q = c->queue;
    int r = append(c);

    if (r == -EAGAIN) {
        wait_for_room(c);
    } else if (r < 0) {
        if (is_our_fault(r))
            log_warn("%s: commit refused: %s", c->answered ? "report" : "smtpd", strerror(-r));
        answer(c, is_our_fault(r) ? IPC_COMMIT_REJECTED : IPC_COMMIT_DEFERRED, trouble(r));
    } else {
        c->state = COMMIT_SEALING;
        if (QUEUE_MUTANT == MUTANT_EARLY_REPLY && c->peer)
            reply_early(c);
    }
    committer_kick(&q->committer);
}

/* -E2BIG: an alias has grown since the recipients were asked for. The next attempt is told at RCPT
 * what is too much. */
static void on_expanded(struct commit *c, int error)
{
    if (error == 0)
        proceed(c);
    else
        answer(c, IPC_COMMIT_DEFERRED,
               error == -E2BIG ? "its aliases have too many recipients"
                               : "an alias can't be expanded now");
}

static bool has_room(const struct queue *q)
{
    return spool_pressure(q->spool, NULL) != SPOOL_PRESSURE_BUSY;
}

/* In their order, from a list of this moment, and as long as there is room: on a slow disk
 * thousands wait, and each group takes a few. */
static void resume_commits(struct queue *q)
{
    struct list now, *link;

    list_init(&now);
    list_move_all(&q->waiting_room, &now);
    while (has_room(q) && (link = list_take_first(&now)))
        proceed(CONTAINER_OF(link, struct commit, room_link));
    list_move_all(&q->waiting_room, &now); /* who came meanwhile is behind these */
    list_move_all(&now, &q->waiting_room);
}

void intake_resume(struct queue *q)
{
    resume_commits(q);
    LIST_EACH(&q->peers, peer)
    upload_resume(CONTAINER_OF(peer, struct queue_peer, link));
}

int commit_own(struct queue *q, struct span envelope, struct span body,
               void (*answered)(void *arg, enum ipc_commit_result result), void *arg)
{
    struct commit *c = calloc(1, sizeof(*c));
    struct parcel *parcel = NULL;
    int r = c ? parcel_new(&q->parcels, envelope, SPAN(""), body, &parcel) : -ENOMEM;

    if (r == 0)
        r = complete_envelope(q, &parcel->envelope);
    if (r < 0) {
        parcel_free(&q->parcels, parcel);
        free(c);
        return r;
    }
    parcel->whole = true;
    *c = (struct commit){.queue = q,
                         .own = true,
                         .parcel = parcel,
                         .answered = answered,
                         .arg = arg,
                         .expanded = on_expanded};
    list_append(&q->own_commits, &c->link);
    q->committer.messages++;
    commit_expand(c);
    return 0;
}

/* Those that are being sealed end by themselves, and tell nobody. */
static void drop_commits(struct queue *q, struct list *commits)
{
    struct list *link;

    while ((link = list_take_first(commits))) {
        struct commit *c = CONTAINER_OF(link, struct commit, link);
        c->peer = NULL;
        c->answered = NULL;
        if (c->state != COMMIT_SEALING) {
            parcel_free(&q->parcels, c->parcel);
            commit_free(c);
        }
    }
}

void intake_drop_own(struct queue *q)
{
    drop_commits(q, &q->own_commits);
}

void intake_drop_peer(struct queue_peer *peer)
{
    drop_commits(peer->queue, &peer->commits);
    upload_drop_all(peer);
}
