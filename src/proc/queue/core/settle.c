/*
 * Outcomes onto the disk. An outcome that the disk refused is still ours: it is kept and given
 * again until it is sealed, for without it a delivered recipient would be delivered again after a
 * restart.
 */
#include "proc/queue/core/settle.h"

#include "base/log.h"
#include "proc/queue/core/schedule.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct settlement {
    struct list link; /* among the unsettled, while the spool has no room for it */
    struct queue *queue;
    struct id message;  /* its row may go before this is taken: nothing pins it until then */
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

static void on_sealed(void *arg, int error)
{
    struct settlement *s = arg;
    struct queue *q = s->queue;

    q->settling--;
    if (error)
        list_append(&q->unsettled, &s->link); /* the tick or the next group gives it again */
    else
        settlement_free(s);
}

/* The spool copies, but the settlement stays until the seal: a group that fails gives the outcome
 * back. */
static int give(struct settlement *s, struct spool_message *message)
{
    struct queue *q = s->queue;
    int r = spool_status(q->spool, message, s->statuses, s->count, on_sealed, s);

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
    log_error("%zu outcomes are lost, their recipients will be attempted again: %s", count,
              strerror(-error));
    for (size_t i = 0; i < count; i++) {
        struct spool_recipient *r = spool_find_recipient(message, statuses[i].recipient);
        if (!r || schedule_item(r))
            continue;
        r->owner = 0;
        schedule_want(q);
    }
}

/* While the disk kept an outcome for now from the log, an attempt after it or an administrator may
 * have ended its recipient: of him nothing may be said any more (rule 4), of those beside him what
 * was to be said stays true. Is anything left? */
static bool drop_closed(struct settlement *s, struct spool_message *message)
{
    size_t kept = 0;

    for (size_t i = 0; message && i < s->count; i++) {
        const struct spool_recipient *r = spool_find_recipient(message, s->statuses[i].recipient);
        if (r && !r->is_closing)
            s->statuses[kept++] = s->statuses[i];
    }
    if (kept < s->count)
        log_warn("%zu outcomes of recipients that were closed meanwhile are not booked",
                 s->count - kept);
    s->count = kept;
    return kept > 0;
}

/* `message` NULL: it went, with the fates of all its recipients. */
static void give_or_keep(struct settlement *s, struct spool_message *message)
{
    struct queue *q = s->queue;
    int r = message ? give(s, message) : -EALREADY;

    if (r == -EALREADY && drop_closed(s, message))
        r = give(s, message);
    if (r == -ENOMEM || r == -EAGAIN) {
        list_append(&q->unsettled, &s->link);
    } else if (r < 0) {
        if (s->count) /* giving these again would be refused for ever */
            forget(q, message, s->statuses, s->count, r);
        settlement_free(s);
    }
}

void settle_in(struct settlement *s, struct spool_message *message,
               const struct spool_status *statuses, size_t count)
{
    s->message = message->id;
    keep(s, statuses, count);
    give_or_keep(s, message);
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

/* What was kept is given behind whatever was said of its recipients meanwhile. A hold that was
 * asked for during the attempt would undo a release then, of which somebody was told, or is when it
 * is on the disk. That the row's time and number of attempts become those of an older attempt does
 * no harm: the scheduler knows better, and after a restart he is attempted by them, at most a pause
 * too early or too late.
 */
static void leave_out_holds(struct settlement *s, struct spool_message *message)
{
    size_t kept = 0;

    for (size_t i = 0; message && i < s->count; i++) {
        const struct spool_recipient *r = spool_find_recipient(message, s->statuses[i].recipient);
        bool held = r && r->state == SPOOL_RECIPIENT_HELD && !r->in_act;
        if (s->statuses[i].outcome != SPOOL_OUTCOME_HELD || held)
            s->statuses[kept++] = s->statuses[i];
    }
    s->count = message ? kept : s->count;
}

/* From a list of this moment: what is refused again waits for the next time. */
void settle_resume(struct queue *q)
{
    struct list now, *link;

    list_init(&now);
    list_move_all(&q->unsettled, &now);
    while ((link = list_take_first(&now))) {
        struct settlement *s = CONTAINER_OF(link, struct settlement, link);
        struct spool_message *message = spool_find(q->spool, &s->message);
        leave_out_holds(s, message);
        give_or_keep(s, message);
    }
}

void settle_done(struct queue *q)
{
    struct list *link;

    while ((link = list_take_first(&q->unsettled)))
        settlement_free(CONTAINER_OF(link, struct settlement, link));
}
