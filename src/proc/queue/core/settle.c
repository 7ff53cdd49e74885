/*
 * Outcomes onto the disk. An outcome that the disk refused is still ours: it is kept and given
 * again until it is sealed, for without it a delivered recipient would be delivered again after a
 * restart.
 */
#include "proc/queue/core/settle.h"

#include "base/log.h"
#include "proc/queue/core/schedule.h"
#include <errno.h>
#include <stdlib.h>

struct settlement {
    struct list link; /* among the unsettled, while the spool has no room for it */
    struct queue *queue;
    struct spool_message *message; /* stays: its recipients aren't closed before this is sealed */
    struct arena arena;
    struct spool_status *statuses;
    size_t count;
};

static void settlement_free(struct settlement *s)
{
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
static int give(struct settlement *s)
{
    struct queue *q = s->queue;
    int r = spool_status(q->spool, s->message, s->statuses, s->count, on_sealed, s);

    if (r == 0) {
        q->settling++;
        committer_kick(&q->committer);
    }
    return r;
}

static bool copy_span(struct arena *a, struct span *s)
{
    *s = arena_copy(a, *s);
    return s->data != NULL;
}

static int copy(struct settlement *s, const struct spool_status *statuses, size_t count)
{
    s->statuses = arena_alloc_array(&s->arena, count, sizeof(*statuses));
    s->count = count;
    if (!s->statuses)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct spool_status *to = &s->statuses[i];
        *to = statuses[i];
        if (!copy_span(&s->arena, &to->status) || !copy_span(&s->arena, &to->reply) ||
            !copy_span(&s->arena, &to->host) || !copy_span(&s->arena, &to->tls) ||
            !copy_span(&s->arena, &to->remote_id) || !copy_span(&s->arena, &to->detail))
            return -ENOMEM;
    }
    return 0;
}

static struct settlement *settlement_new(struct queue *q, struct spool_message *message,
                                         const struct spool_status *statuses, size_t count)
{
    struct settlement *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->queue = q;
    s->message = message;
    if (copy(s, statuses, count) < 0) {
        settlement_free(s);
        return NULL;
    }
    return s;
}

/* Without memory to remember an outcome its recipients are attempted again: a duplicate beats a
 * loss. */
static void forget(struct queue *q, struct spool_message *message,
                   const struct spool_status *statuses, size_t count)
{
    log_error("out of memory: %zu outcomes are lost, their recipients will be attempted again",
              count);
    for (size_t i = 0; i < count; i++) {
        struct spool_recipient *r = spool_find_recipient(message, statuses[i].recipient);
        if (r && !schedule_item(r))
            r->owner = 0;
    }
    q->unscheduled = true;
}

static void give_or_keep(struct settlement *s)
{
    struct queue *q = s->queue;
    int r = give(s);

    /* Giving these again would be refused for ever. */
    if (r == -EALREADY || r == -EINVAL) {
        log_error("an outcome was refused by the spool: %s", strerror(-r));
        settlement_free(s);
    } else if (r < 0) {
        list_append(&q->unsettled, &s->link);
    }
}

void settle(struct queue *q, struct spool_message *message, const struct spool_status *statuses,
            size_t count)
{
    struct settlement *s = settlement_new(q, message, statuses, count);

    if (s)
        give_or_keep(s);
    else
        forget(q, message, statuses, count);
}

/* From a list of this moment: what is refused again waits for the next time. */
void settle_resume(struct queue *q)
{
    struct list now, *link;

    list_init(&now);
    while ((link = list_take_first(&q->unsettled)))
        list_append(&now, link);
    while ((link = list_take_first(&now)))
        give_or_keep(CONTAINER_OF(link, struct settlement, link));
}

void settle_done(struct queue *q)
{
    struct list *link;

    while ((link = list_take_first(&q->unsettled)))
        settlement_free(CONTAINER_OF(link, struct settlement, link));
}
