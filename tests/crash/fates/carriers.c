/* The mailbox and smtp processes: what they are given, and what they say of it. */
#include "life.h"

#include <stdio.h>

enum { HEARD_TURNS = 30 }; /* after so many the queue has read what it was told */

static struct ipc_channel *channel_of(const struct life *life, unsigned which)
{
    return which == 0 ? life->world->mailbox : life->world->smtp[which - 1];
}

static unsigned which_has(const struct life *life, const struct world_job *job)
{
    for (unsigned i = 0; i < CARRIERS_PLAYED; i++)
        if (channel_of(life, i) == job->channel)
            return i;
    fail_msg("a job came from nowhere");
    return 0;
}

/* ---- what they are given ---- */

static void on_attempt(struct world *w, struct world_job *job)
{
    struct life *life = w->player;
    struct letter *letter;

    if (store_sim_stopped(life->disk))
        return;
    log_read(life);
    letter = notes_find(&life->notes, &job->id);
    if (!letter || !letter->sealed) {
        notes_fail(&life->notes, "a message is attempted that the log doesn't have");
        return;
    }
    for (size_t i = 0; i < job->recipient_count; i++) {
        judge_attempt(life, letter, job->indexes[i]);
        if (life_failed(life))
            return;
        struct fate *fate = &letter->fates[job->indexes[i]];
        if (strcmp(fate->address, job->recipients[i]) != 0)
            notes_fail(&life->notes, "%s to <%s> goes to <%s>", notes_text(letter), fate->address,
                       job->recipients[i]);
        struct attempt *attempt = notes_attempt(&life->notes, fate);
        attempt->life = life->number;
        attempt->channel = life->channel_of[which_has(life, job)];
        life->statistics.attempts++;
        life_say(life, "%s %u is attempted", notes_text(letter), job->indexes[i]);
    }
}

/* ---- what they say ---- */

static struct ipc_job_outcome draw_outcome(struct life *life)
{
    static const struct ipc_job_outcome outcomes[] = {
        {0, IPC_OUTCOME_DELIVERED, IPC_SCOPE_RECIPIENT, {"2.0.0", 5}},
        {0, IPC_OUTCOME_DEFERRED, IPC_SCOPE_RECIPIENT, {"4.2.2", 5}},
        {0, IPC_OUTCOME_FAILED, IPC_SCOPE_RECIPIENT, {"5.1.1", 5}},
        {0, IPC_OUTCOME_DEFERRED, IPC_SCOPE_DESTINATION, {"4.4.1", 5}},
        {0, IPC_OUTCOME_UNCERTAIN, IPC_SCOPE_DESTINATION, {"4.4.2", 5}},
        {0, IPC_OUTCOME_UNTRIED, IPC_SCOPE_DESTINATION, {"4.3.2", 5}},
        {0, IPC_OUTCOME_DEFERRED, IPC_SCOPE_OURS, {"4.3.0", 5}},
        {0, IPC_OUTCOME_FAILED, IPC_SCOPE_OURS, {"5.3.0", 5}},
    };
    size_t kind = 0;

    if (life->mood == MOOD_BAD || (life->mood != MOOD_GOOD && prng_chance(&life->prng, 4000)))
        kind = prng_below(&life->prng, ARRAY_SIZE(outcomes));
    return outcomes[kind];
}

/* The station may have taken what is uncertain. */
static bool has_arrived(struct life *life, uint8_t outcome)
{
    return outcome == IPC_OUTCOME_DELIVERED ||
           (outcome == IPC_OUTCOME_UNCERTAIN && prng_chance(&life->prng, 5000));
}

static void note(struct life *life, struct fate *fate, uint8_t outcome)
{
    struct attempt *attempt = notes_last_attempt(&life->notes, fate);

    attempt->answered = true;
    attempt->outcome = outcome;
    attempt->turn = life->turns;
    bool arrived = has_arrived(life, outcome);
    life->statistics.doubled += arrived && fate->delivered;
    life->statistics.delivered += arrived;
    fate->delivered += arrived;
}

static void answer(struct life *life, struct world_job *job)
{
    struct letter *letter = notes_find(&life->notes, &job->id);
    struct ipc_job_outcome list[8];
    char texts[8][40];
    struct ipc_message m = {.type = IPC_JOB_RESULT, .job_result = {list, job->recipient_count}};

    job->answered = true;
    if (life_failed(life) || store_sim_stopped(life->disk)) /* nobody can read the log now */
        return;
    for (size_t i = 0; i < job->recipient_count; i++) {
        struct fate *fate = &letter->fates[job->indexes[i]];
        const struct attempt *attempt = notes_last_attempt(&life->notes, fate);
        list[i] = draw_outcome(life);
        if (job->dropped)
            list[i].outcome = IPC_OUTCOME_UNTRIED;
        list[i].index = job->indexes[i];
        snprintf(texts[i], sizeof(texts[i]), "result %lu", (unsigned long)attempt->serial);
        list[i].text = span_from_cstr(texts[i]);
        note(life, fate, list[i].outcome);
        life_say(life, "%s %u: %s is outcome %u of scope %u", notes_text(letter), job->indexes[i],
                 texts[i], list[i].outcome, list[i].scope);
    }
    assert_int_equal(ipc_reply(job->channel, job->token, &m), 0);
}

static void on_job(struct world *w, struct world_job *job)
{
    struct life *life = w->player;

    if (job->dropped || life->mood != MOOD_SILENT)
        answer(life, job);
}

void carriers_answer(struct life *life, bool all)
{
    struct world *w = life->world;

    for (size_t i = 0; i < w->job_count; i++) {
        struct world_job *job = &w->jobs[i];
        if (!job->answered && job->body.size == job->size_bytes &&
            (all || prng_chance(&life->prng, 5000)))
            answer(life, job);
    }
}

/* ---- in and out ---- */

static void hear(struct life *life, unsigned channel, unsigned turn)
{
    for (size_t i = 0; i < life->notes.attempt_count; i++) {
        struct attempt *attempt = &life->notes.attempts[i];
        if (attempt->answered && attempt->life == life->number && attempt->turn <= turn &&
            (!channel || attempt->channel == channel))
            attempt->heard = true;
    }
}

static bool is_joined(const struct life *life, unsigned channel)
{
    for (unsigned i = 0; i < CARRIERS_PLAYED; i++)
        if (life->channel_of[i] == channel)
            return true;
    return false;
}

void carriers_were_heard(struct life *life)
{
    bool all = true;

    for (unsigned i = 0; i < CARRIERS_PLAYED; i++)
        if (life->channel_of[i])
            hear(life, life->channel_of[i], life->turns);
    for (size_t i = 0; i < life->world->job_count; i++)
        all = all && life->world->jobs[i].answered;
    if (all)
        world_forget_jobs(life->world);
}

void carriers_leave(struct life *life, unsigned which)
{
    struct world *w = life->world;
    struct ipc_channel *channel = channel_of(life, which);

    if (!channel)
        return;
    if (life->turns > HEARD_TURNS)
        hear(life, life->channel_of[which], life->turns - HEARD_TURNS);
    for (size_t i = 0; i < w->job_count; i++)
        w->jobs[i].answered |= w->jobs[i].channel == channel;
    ipc_channel_free(channel);
    *(which == 0 ? &w->mailbox : &w->smtp[which - 1]) = NULL;
    life->channel_of[which] = 0;
    life_say(life, "carrier %u goes", which);
}

void carriers_join(struct life *life, unsigned which)
{
    life->world->on_attempt = on_attempt;
    life->world->on_job = on_job;
    if (life->channel_of[which])
        return;
    life->channel_of[which] = ++life->channels;
    if (which == 0)
        world_join_mailbox(life->world);
    else
        world_join_smtp_process(life->world, which - 1);
    life_say(life, "carrier %u comes", which);
}

bool carriers_may_answer(const struct life *life, const struct attempt *attempt)
{
    return attempt->life == life->number && is_joined(life, attempt->channel);
}
