/* What can happen on the simulated machine, one small act each; accepting mail is in mail.c. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct model_message *pick_message(struct world *w)
{
    if (w->model.live_count == 0)
        return NULL;
    struct model_message *message =
        &w->model.messages[w->model.live[prng_below(&w->prng, w->model.live_count)]];
    if (message->gone || message->harmed || model_fate_of(&w->model, message) != MODEL_SEALED)
        return NULL;
    return message;
}

static uint8_t draw_outcome(struct world *w, bool finish)
{
    static const uint8_t final[] = {SPOOL_OUTCOME_DELIVERED, SPOOL_OUTCOME_DELIVERED,
                                    SPOOL_OUTCOME_RELAYED, SPOOL_OUTCOME_REMOVED};
    static const uint8_t open[] = {
        SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_DEFERRED, SPOOL_OUTCOME_UNCERTAIN, SPOOL_OUTCOME_HELD,
        SPOOL_OUTCOME_RELEASED, SPOOL_OUTCOME_REROUTED, SPOOL_OUTCOME_NOTIFIED};
    if (finish || prng_chance(&w->prng, 5000))
        return final[prng_below(&w->prng, ARRAY_SIZE(final))];
    return open[prng_below(&w->prng, ARRAY_SIZE(open))];
}

/* A final outcome that couldn't be written is given again, never another one. What was held once
 * waits again only when it is released: the end of an attempt leaves it held. */
static uint8_t outcome_for(struct world *w, const struct model_recipient *recipient, bool finish)
{
    const struct model_status *final = model_final(&w->model, recipient);
    if (final)
        return final->outcome;
    uint8_t outcome = draw_outcome(w, finish);
    bool attempt = outcome == SPOOL_OUTCOME_DEFERRED || outcome == SPOOL_OUTCOME_UNCERTAIN ||
                   outcome == SPOOL_OUTCOME_REROUTED;
    for (size_t i = 0; attempt && i < recipient->count; i++)
        if (recipient->statuses[i].outcome == SPOOL_OUTCOME_HELD)
            return SPOOL_OUTCOME_RELEASED;
    return outcome;
}

/* Where a rerouted recipient goes: one of a few next hops. */
static struct span next_hop(uint64_t sequence)
{
    static const char *const hops[] = {"host:gate.example:25", "mx:other.example", "d1.example"};
    return span_from_cstr(hops[sequence % ARRAY_SIZE(hops)]);
}

static struct spool_status make_status(struct world *w, struct model_message *message,
                                       uint32_t index, uint64_t sequence, bool finish,
                                       struct span detail)
{
    struct model_recipient *recipient = &message->recipients[index];
    struct spool_status status = {.recipient = index,
                                  .outcome = outcome_for(w, recipient, finish),
                                  .attempts = (uint16_t)(recipient->count + 1),
                                  .time_us = w->now_us,
                                  .next_attempt_us = w->now_us + 1000000 + (int64_t)sequence,
                                  .status = SPAN("4.0.0"),
                                  .reply = SPAN("451 try again"),
                                  .host = SPAN("mx.example"),
                                  .tls = SPAN(""),
                                  .remote_id = SPAN(""),
                                  .detail = detail};
    if (status.outcome == SPOOL_OUTCOME_REROUTED)
        status.host = next_hop(sequence);
    return status;
}

static void note_status(struct model_message *message, const struct spool_status *status,
                        uint64_t sequence)
{
    model_add_status(message, status->recipient,
                     &(struct model_status){.sequence = sequence,
                                            .outcome = status->outcome,
                                            .route = status->outcome == SPOOL_OUTCOME_REROUTED
                                                         ? status->host
                                                         : SPAN(""),
                                            .attempts = status->attempts,
                                            .next_attempt_us = status->next_attempt_us});
}

enum { STATUSES_MAX = 40 };

static size_t pick_recipients(struct world *w, struct spool_message *shown,
                              struct model_message *message, bool finish, uint64_t sequence,
                              struct span detail, struct spool_status *out)
{
    unsigned chance = prng_below(&w->prng, 2) ? 10000 : 3000;
    size_t count = 0;
    for (uint32_t i = 0; i < message->recipient_count && count < STATUSES_MAX; i++) {
        struct spool_recipient *row = spool_find_recipient(shown, i);
        if (!row || row->state == SPOOL_RECIPIENT_CLOSED || row->is_closing)
            continue;
        if (prng_chance(&w->prng, chance))
            out[count++] = make_status(w, message, i, sequence, finish, detail);
    }
    return count;
}

static void give_status(struct world *w, struct spool_message *shown, struct model_message *message,
                        bool finish)
{
    struct spool_status statuses[STATUSES_MAX];
    static char longest[SPOOL_REPLY_MAX];
    char detail[32];
    uint64_t sequence = w->model.record_count ? w->model.record_count : 1;
    snprintf(detail, sizeof detail, "%lu as record", (unsigned long)sequence);
    size_t count =
        pick_recipients(w, shown, message, finish, sequence, span_from_cstr(detail), statuses);
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        world_stretch(w, &statuses[i], longest);
    struct world_waiter *waiter = world_waiter_new(w, sequence, 1, false);
    int r = spool_status(w->spool, shown, statuses, count, world_on_done, waiter);
    world_say(w, "status record %lu for %lu: %s", (unsigned long)sequence,
              (unsigned long)message->sequence, strerror(-r));
    for (size_t i = 0; i < count; i++)
        world_say(w, "    recipient %u: outcome %u, attempts %u", statuses[i].recipient,
                  statuses[i].outcome, statuses[i].attempts);
    if (r < 0) {
        free(waiter);
        world_check_refusal(w, "an outcome", r);
        return;
    }
    model_record(&w->model, MODEL_STATUS, (uint32_t)(message - w->model.messages));
    for (size_t i = 0; i < count; i++)
        note_status(message, &statuses[i], sequence);
    w->statistics.statuses++;
}

/* A second final outcome must be turned away. */
static void give_final_twice(struct world *w, struct spool_message *shown,
                             struct model_message *message)
{
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct model_status *final = model_final(&w->model, &message->recipients[i]);
        if (!final || w->model.records[final->sequence].fate == MODEL_MAYBE)
            continue;
        struct spool_status again =
            make_status(w, message, i, 0, true, SPAN("0 must not be written"));
        int r = spool_status(w->spool, shown, &again, 1, NULL, NULL);
        if (r != -EALREADY)
            model_fail(&w->model, "a second final outcome was answered %s", strerror(-r));
        return;
    }
}

void world_status(struct world *w, bool finish)
{
    struct model_message *message = pick_message(w);
    if (!message)
        return;
    struct spool_message *shown = spool_find(w->spool, &message->id);
    if (!shown) {
        model_fail(&w->model, "an acknowledged message isn't found");
        return;
    }
    if (prng_chance(&w->prng, 500))
        give_final_twice(w, shown, message);
    else
        give_status(w, shown, message, finish);
}

void world_event(struct world *w)
{
    char bytes[2000];
    uint64_t sequence = w->model.record_count ? w->model.record_count : 1;
    int head = snprintf(bytes, sizeof bytes, "%lu event ", (unsigned long)sequence);
    size_t size = (size_t)head + prng_below(&w->prng, sizeof bytes - (size_t)head);
    memset(bytes + head, 'e', size - (size_t)head);

    struct world_waiter *waiter = world_waiter_new(w, sequence, 1, false);
    int r = spool_event(w->spool, span_of(bytes, size), world_on_done, waiter);
    world_say(w, "event record %lu", (unsigned long)sequence);
    if (r < 0) {
        free(waiter);
        world_check_refusal(w, "an event", r);
        return;
    }
    model_record(&w->model, MODEL_EVENT, (uint32_t)size);
    w->statistics.events++;
}

void world_take_group(struct world *w)
{
    if (w->group)
        return;
    w->group = spool_take_group(w->spool, w->now_us);
    w->group_written = false;
    if (w->group)
        world_say(w, "group taken");
}

void world_write_group(struct world *w)
{
    if (!w->group || w->group_written || w->group_is_running)
        return;
    world_say(w, "group written");
    w->group_is_running = true;
    world_begin_thread(w);
    spool_write_group(w->group);
    world_end_thread(w);
    w->group_is_running = false;
    w->group_written = true;
}

void world_finish_group(struct world *w)
{
    if (!w->group || !w->group_written)
        return;
    struct spool_group *group = w->group;
    world_say(w, "group finished");
    w->group = NULL;
    spool_finish_group(w->spool, group, w->now_us);
    model_sweep(&w->model);
}

void world_group(struct world *w)
{
    if (!w->group)
        world_take_group(w);
    else if (!w->group_written)
        world_write_group(w);
    else
        world_finish_group(w);
}

static void run_task(struct world *w, struct world_task *t)
{
    t->is_running = true;
    world_begin_thread(w);
    spool_run_task(t->task);
    world_end_thread(w);
    t->is_running = false;
    t->ran = true;
}

void world_task(struct world *w)
{
    struct world_task *t = &w->tasks[prng_below(&w->prng, WORLD_TASKS)];
    if (t->is_running)
        return;
    if (!t->task) {
        t->task = spool_take_task(w->spool, w->now_us);
        t->ran = false;
        world_say(w, "task %stake", t->task ? "" : "none to ");
    } else if (!t->ran) {
        world_say(w, "task run");
        run_task(w, t);
    } else {
        struct spool_task *task = t->task;
        world_say(w, "task finished");
        *t = (struct world_task){0};
        spool_finish_task(w->spool, task, w->now_us);
        model_sweep(&w->model);
    }
}

void world_read(struct world *w)
{
    struct model_message *message = pick_message(w);
    struct spool_message *shown = message ? spool_find(w->spool, &message->id) : NULL;
    if (!message)
        return;
    world_say(w, "read record %lu", (unsigned long)message->sequence);
    if (!shown)
        model_fail(&w->model, "an acknowledged message isn't found");
    else
        world_check_bytes(w, shown, message);
}

static bool finish_tasks(struct world *w)
{
    bool any = false;
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        struct world_task *t = &w->tasks[i];
        if (!t->task)
            *t = (struct world_task){.task = spool_take_task(w->spool, w->now_us)};
        if (!t->task)
            continue;
        any = true;
        if (!t->ran)
            run_task(w, t);
        struct spool_task *task = t->task;
        *t = (struct world_task){0};
        spool_finish_task(w->spool, task, w->now_us);
    }
    return any;
}

static bool finish_groups(struct world *w)
{
    world_take_group(w);
    if (!w->group)
        return false;
    world_write_group(w);
    world_finish_group(w);
    return true;
}

static void work(struct world *w)
{
    enum { ROUNDS_MAX = 3000 };
    int rounds = 0;

    for (bool more = true; more && rounds < ROUNDS_MAX && !store_sim_stopped(w->sim); rounds++) {
        more = finish_groups(w);
        more |= finish_tasks(w);
    }
    if (rounds == ROUNDS_MAX)
        model_fail(&w->model, "the spool never comes to rest");
    model_sweep(&w->model);
}

/* The first record that waits to be written, or 0. */
static uint64_t first_pending(const struct world *w)
{
    for (uint64_t i = 1; i < w->model.record_count; i++)
        if (w->model.records[i].fate == MODEL_PENDING)
            return i;
    return 0;
}

void world_settle(struct world *w)
{
    enum { PAUSES_MAX = 20 };

    work(w);
    for (int i = 0; i < PAUSES_MAX && !w->faulty && !store_sim_stopped(w->sim); i++) {
        int64_t next_us = spool_next_try_us(w->spool);
        if (!first_pending(w) || next_us == INT64_MAX)
            break;
        w->now_us = next_us;
        work(w);
    }
    if (!w->faulty && !w->tight && !store_sim_stopped(w->sim) && first_pending(w))
        model_fail(&w->model, "record %lu is never written", (unsigned long)first_pending(w));
}
