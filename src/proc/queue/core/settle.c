/*
 * Outcomes onto the disk. An outcome that the disk refused is still ours: it is kept and given
 * again until it is sealed, for without it a delivered recipient would be delivered again after a
 * restart.
 *
 * What is said of a message comes to the disk in the order in which it was said: what lies behind
 * an outcome that is refused is refused with it (spool.h), and while one is kept here, nothing else
 * is given. So none is lost because its recipient had his end meanwhile, nor undoes what came
 * later.
 */
#include "proc/queue/core/settle.h"

#include "base/log.h"
#include "proc/queue/core/mutant.h"
#include "proc/queue/core/schedule.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct settlement {
    struct list link; /* among the unsettled, while the spool has no room for it */
    struct queue *queue;
    uint64_t number; /* in the order in which they were said */
    struct id message;
    struct arena arena; /* of texts, and of the statuses when there are more than recipients */
    struct spool_status *statuses; /* in `room`, or the arena */
    size_t count;
    size_t recipients; /* places in `room` */
    struct spool_status room[];
};

struct settlement *settlement_new(struct queue *q, size_t recipients)
{
    struct settlement *s = malloc(sizeof(*s) + recipients * sizeof(s->room[0]));

    if (s)
        *s = (struct settlement){.queue = q, .recipients = recipients};
    return s;
}

void settlement_free(struct settlement *s)
{
    if (!s)
        return;
    list_remove(&s->link);
    arena_done(&s->arena);
    free(s);
}

/* As a rule behind all others; what the disk refuses goes in front of what was said behind it and
 * found no memory since. */
static void put_by(struct settlement *s)
{
    struct list *all = &s->queue->unsettled, *next = all;

    while (next->prev != all &&
           CONTAINER_OF(next->prev, struct settlement, link)->number > s->number)
        next = next->prev;
    list_append(next, &s->link);
}

/* Of what came of an attempt. */
static void mark(struct spool_message *message, const struct spool_status *statuses, size_t count,
                 bool settling)
{
    for (size_t i = 0; message && i < count; i++) {
        struct spool_recipient *r = spool_find_recipient(message, statuses[i].recipient);
        if (r && statuses[i].outcome != SPOOL_OUTCOME_NOTIFIED)
            r->is_settling = settling;
    }
}

/* Of who has another one behind this the mark goes too early. Then an act that takes him away may
 * stand behind that, and be refused with it. */
static void on_sealed(void *arg, int error)
{
    struct settlement *s = arg;
    struct queue *q = s->queue;

    q->settling--;
    if (error && QUEUE_MUTANT != MUTANT_OUTCOME_DROPPED) {
        put_by(s); /* the end of this group gives it again */
        return;
    }
    mark(spool_find(q->spool, &s->message), s->statuses, s->count, false);
    settlement_free(s);
}

/* The spool copies, but the settlement stays until the seal: a group that fails gives the outcome
 * back. */
static int give(struct settlement *s, struct spool_message *message)
{
    struct queue *q = s->queue;
    int r =
        message ? spool_status(q->spool, message, s->statuses, s->count, on_sealed, s) : -ENOENT;

    if (r == 0) {
        q->settling++;
        committer_kick(&q->committer);
    }
    return r;
}

void settle_cut(struct spool_status *s)
{
    s->status = span_first(s->status, SPOOL_CODE_MAX);
    s->reply = span_first(s->reply, SPOOL_REPLY_MAX);
    s->host = span_first(s->host, SPOOL_HOST_MAX);
    s->tls = span_first(s->tls, SPOOL_TLS_MAX);
    s->remote_id = span_first(s->remote_id, SPOOL_REMOTE_ID_MAX);
    s->detail = span_first(s->detail, SPOOL_REPLY_MAX);
}

/* False: it is lost for want of memory. */
static bool keep_text(struct arena *a, struct span *text)
{
    struct span kept = text->size ? arena_copy(a, *text) : SPAN("");

    *text = kept.data ? kept : SPAN("");
    return kept.data != NULL;
}

/* An outcome without its words beats one that is lost. */
static void keep_texts(struct arena *a, struct spool_status *s)
{
    struct span *const texts[] = {&s->status, &s->reply,     &s->host,
                                  &s->tls,    &s->remote_id, &s->detail};
    bool all = true;

    settle_cut(s);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        all &= keep_text(a, texts[i]);
    if (!all)
        s->detail = SPAN("not all that was said of it could be kept: memory was short");
}

/* The last that is said of each recipient is what became of him; the rest led there. */
static void keep_last(struct settlement *s, const struct spool_status *statuses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && statuses[i + 1].recipient == statuses[i].recipient)
            continue;
        assert(s->count < s->recipients);
        s->room[s->count++] = statuses[i];
    }
}

static void keep(struct settlement *s, const struct spool_status *statuses, size_t count)
{
    s->statuses = s->room;
    if (count > s->recipients)
        s->statuses = arena_alloc_array(&s->arena, count, sizeof(*statuses));
    if (s->statuses) {
        memcpy(s->statuses, statuses, count * sizeof(*statuses));
        s->count = count;
    } else {
        s->statuses = s->room;
        keep_last(s, statuses, count);
    }
    for (size_t i = 0; i < s->count; i++)
        keep_texts(&s->arena, &s->statuses[i]);
}

/* Of an outcome that can't be kept the recipients are attempted again: a duplicate beats a loss. */
static void forget(struct queue *q, struct spool_message *message,
                   const struct spool_status *statuses, size_t count, int error)
{
    mark(message, statuses, count, false);
    log_error("%zu outcomes are lost, their recipients will be attempted again: %s", count,
              strerror(-error));
    for (size_t i = 0; message && i < count; i++) {
        struct spool_recipient *r = spool_find_recipient(message, statuses[i].recipient);
        if (!r || schedule_item(r))
            continue;
        r->owner = 0;
        schedule_want(q);
    }
}

/* -EAGAIN or -ENOMEM: there is no room now, and nothing has changed. */
static int give_or_forget(struct settlement *s, struct spool_message *message)
{
    int r = give(s, message);

    if (r == 0 || r == -ENOMEM || r == -EAGAIN)
        return r;
    forget(s->queue, message, s->statuses, s->count, r); /* it would be refused for ever */
    settlement_free(s);
    return 0;
}

bool settle_waits(const struct queue *q, const struct id *message)
{
    LIST_EACH(&q->unsettled, link)
    {
        if (id_equal(&CONTAINER_OF(link, struct settlement, link)->message, message))
            return true;
    }
    return false;
}

void settle_in(struct settlement *s, struct spool_message *message,
               const struct spool_status *statuses, size_t count)
{
    s->number = ++s->queue->settlements;
    s->message = message->id;
    keep(s, statuses, count);
    mark(message, s->statuses, s->count, true);
    if (settle_waits(s->queue, &s->message) || give_or_forget(s, message) < 0)
        put_by(s);
}

void settle(struct queue *q, struct spool_message *message, const struct spool_status *statuses,
            size_t count)
{
    struct settlement *s = settlement_new(q, count);

    if (s)
        settle_in(s, message, statuses, count);
    else
        forget(q, message, statuses, count, -ENOMEM);
}

/* One for which there is no room holds up those behind it until the next time: the room that they
 * need is the same. */
void settle_resume(struct queue *q)
{
    struct list *link;

    while ((link = list_take_first(&q->unsettled))) {
        struct settlement *s = CONTAINER_OF(link, struct settlement, link);
        if (give_or_forget(s, spool_find(q->spool, &s->message)) == 0)
            continue;
        list_prepend(&q->unsettled, link);
        return;
    }
}

void settle_done(struct queue *q)
{
    struct list *link;

    while ((link = list_take_first(&q->unsettled)))
        settlement_free(CONTAINER_OF(link, struct settlement, link));
}
