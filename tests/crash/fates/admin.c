/* An administrator, who asks for one act after the other. */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct list link;
    struct ipc_call call;
    struct life *life;
    enum ipc_queue_act_kind kind;
    struct id id;
    uint32_t index; /* UINT32_MAX: all, of one message or of many */
    bool dry;
};

static void ask_on(struct asked *asked)
{
    const struct ipc_message more = {.type = IPC_QUEUE_ACT_MORE};

    assert_int_equal(ipc_call(asked->life->world->admin, &asked->call, &more), 0);
}

static void forget(struct asked *asked)
{
    list_remove(&asked->link);
    free(asked);
}

bool admin_is_obeyed(const struct fate *fate)
{
    const unsigned *granted = fate->granted, *said = fate->said_by_admin;

    return granted[IPC_ACT_HOLD] <= said[SPOOL_OUTCOME_HELD] &&
           granted[IPC_ACT_RELEASE] <= said[SPOOL_OUTCOME_RELEASED] &&
           granted[IPC_ACT_RETRY] <= said[SPOOL_OUTCOME_RETRIED] &&
           granted[IPC_ACT_REMOVE] <= said[SPOOL_OUTCOME_REMOVED] &&
           granted[IPC_ACT_RETURN] + granted[IPC_ACT_REROUTE] <= said[SPOOL_OUTCOME_REROUTED];
}

/* What is said to be done is on the disk. */
static void take_grant(struct asked *asked)
{
    struct life *life = asked->life;
    struct letter *letter = notes_find(&life->notes, &asked->id);

    life->statistics.acts++;
    if (asked->dry || asked->index == UINT32_MAX)
        return;
    struct fate *fate = &letter->fates[asked->index];
    fate->granted[asked->kind]++;
    log_read(life);
    if (!store_sim_stopped(life->disk) && !admin_is_obeyed(fate)) /* else nobody can look */
        notes_fail(&life->notes, "%s %u: act %u is said to be done, and the log doesn't have it",
                   notes_text(letter), asked->index, asked->kind);
}

static void on_answer(struct ipc_call *call, const struct ipc_message *reply)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);
    const struct ipc_queue_acted *acted = reply ? &reply->queue_acted : NULL;

    if (acted && !acted->last) {
        ask_on(asked);
        return;
    }
    if (acted)
        life_say(asked->life, "act %u: %u done, %u busy, error %d", asked->kind, acted->count,
                 acted->busy, acted->error);
    if (acted && acted->error == 0 && acted->count > 0)
        take_grant(asked);
    forget(asked);
}

static void ask(struct life *life, struct asked *asked, const struct ipc_queue_filter *filter)
{
    static const char *const hops[] = {"smtp:gate.example", "mx:other.example", "mx"};
    const struct ipc_message m = {
        .type = IPC_QUEUE_ACT,
        .queue_act = {.act = (uint8_t)asked->kind,
                      .dry = asked->dry,
                      .filter = *filter,
                      .index = asked->index,
                      .next_hop = span_from_cstr(hops[prng_below(&life->prng, ARRAY_SIZE(hops))])}};

    asked->life = life;
    asked->call.fn = on_answer;
    list_append(&life->asked, &asked->link);
    assert_int_equal(ipc_call(life->world->admin, &asked->call, &m), 0);
}

static void note_all_from(struct life *life, const char *sender, enum ipc_queue_act_kind kind)
{
    for (size_t i = 0; i < life->notes.letter_count; i++)
        if (strcmp(life->notes.letters[i]->sender, sender) == 0)
            life->notes.letters[i]->asked[kind] = true;
}

static void act_on_sender(struct life *life, struct asked *asked, const char *sender)
{
    struct ipc_queue_filter filter = {.sender = span_from_cstr(sender[0] ? sender : "<>")};

    if (!asked->dry)
        note_all_from(life, sender, asked->kind);
    asked->index = UINT32_MAX;
    life_say(life, "act %u on all of <%s>%s", asked->kind, sender, asked->dry ? ", dry" : "");
    ask(life, asked, &filter);
}

static void act_on_letter(struct life *life, struct asked *asked, struct letter *letter)
{
    struct ipc_queue_filter filter = {.id = letter->id};

    asked->id = letter->id;
    asked->index = UINT32_MAX;
    if (letter->fate_count && prng_chance(&life->prng, 6000))
        asked->index = (uint32_t)prng_below(&life->prng, letter->fate_count);
    if (!asked->dry && asked->index != UINT32_MAX)
        letter->fates[asked->index].asked[asked->kind] = true;
    else if (!asked->dry)
        letter->asked[asked->kind] = true;
    life_say(life, "act %u on %s %d%s", asked->kind, notes_text(letter), (int)asked->index,
             asked->dry ? ", dry" : "");
    ask(life, asked, &filter);
}

static struct asked *asked_new(enum ipc_queue_act_kind kind)
{
    struct asked *asked = calloc(1, sizeof(*asked));

    assert_non_null(asked);
    asked->kind = kind;
    return asked;
}

/* Mostly on what is new, and often the same again: two acts on one recipient at a time. */
static struct letter *draw_letter(struct life *life)
{
    size_t count = life->notes.letter_count, from = count > 12 ? count - 12 : 0;
    return life->notes.letters[from + prng_below(&life->prng, count - from)];
}

bool admin_is_waiting(const struct life *life)
{
    return !list_is_empty(&life->asked);
}

void admin_act(struct life *life)
{
    static const enum ipc_queue_act_kind kinds[] = {
        IPC_ACT_HOLD,    IPC_ACT_HOLD,    IPC_ACT_HOLD,    IPC_ACT_RELEASE,
        IPC_ACT_RELEASE, IPC_ACT_RELEASE, IPC_ACT_RETRY,   IPC_ACT_RETRY,
        IPC_ACT_RETURN,  IPC_ACT_REMOVE,  IPC_ACT_REROUTE, IPC_ACT_REROUTE};
    static const char *const all_of[] = {"s@far.example", "user1@here.example", ""};

    if (!life->world->admin || !life->notes.letter_count)
        return;
    if (admin_is_waiting(life)) { /* another one comes, or he goes on waiting */
        if (prng_chance(&life->prng, 5000))
            admin_join(life);
        return;
    }
    struct asked *asked = asked_new(kinds[prng_below(&life->prng, ARRAY_SIZE(kinds))]);
    asked->dry = prng_chance(&life->prng, 500);
    if (prng_chance(&life->prng, 1000) && asked->kind != IPC_ACT_REMOVE)
        act_on_sender(life, asked, all_of[prng_below(&life->prng, ARRAY_SIZE(all_of))]);
    else
        act_on_letter(life, asked, draw_letter(life));
}

void admin_act_on_all(struct life *life, enum ipc_queue_act_kind kind)
{
    static const char *const all[] = {"s@far.example", "user1@here.example", "",
                                      "gone@here.example"};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        admin_join(life);
        act_on_sender(life, asked_new(kind), all[i]);
        life_rest(life);
    }
}

void admin_leave(struct life *life)
{
    ipc_channel_free(life->world->admin); /* what is asked ends without an answer */
    life->world->admin = NULL;
}

void admin_join(struct life *life)
{
    admin_leave(life);
    world_join_admin(life->world);
}
