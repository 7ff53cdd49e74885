/*
 * Slots are reused from a free list. A token is the slot's number and its generation, so a look-up
 * is an index and a comparison, and a peer that repeats or invents a token finds nothing.
 */
#include "ipc/calls.h"

#include <errno.h>
#include <stdlib.h>

/* Slots have no addresses that anybody keeps: calls know theirs by index, so the array may move. */
static int grow(struct ipc_calls *calls)
{
    uint32_t count = calls->count ? calls->count * 2 : 16;
    struct ipc_slot *slots = realloc(calls->slots, count * sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    calls->slots = slots;
    for (uint32_t i = calls->count; i < count; i++) {
        slots[i] = (struct ipc_slot){.next_free = calls->first_free};
        calls->first_free = i + 1;
    }
    calls->count = count;
    return 0;
}

int ipc_calls_add(struct ipc_calls *calls, struct ipc_call *call, enum ipc_type expected,
                  uint64_t *out_token)
{
    if (calls->pending >= IPC_CALL_WINDOW)
        return -EAGAIN;
    if (!calls->first_free && grow(calls) < 0)
        return -ENOMEM;

    uint32_t index = calls->first_free - 1;
    struct ipc_slot *slot = &calls->slots[index];
    calls->first_free = slot->next_free;
    *slot =
        (struct ipc_slot){.call = call, .generation = slot->generation + 1, .expected = expected};
    calls->pending++;
    call->slot = index;
    *out_token = (uint64_t)slot->generation << 32 | index;
    return 0;
}

static void release(struct ipc_calls *calls, uint32_t index)
{
    struct ipc_slot *slot = &calls->slots[index];

    slot->call = NULL;
    slot->expected = IPC_NONE;
    slot->next_free = calls->first_free;
    calls->first_free = index + 1;
    calls->pending--;
}

/* Free slot, other type and old generation are all the same to the caller: the peer
 * broke the protocol. */
int ipc_calls_take(struct ipc_calls *calls, uint64_t token, enum ipc_type type,
                   struct ipc_call **out_call)
{
    uint32_t index = (uint32_t)token;

    if (index >= calls->count)
        return -EPROTO;
    struct ipc_slot *slot = &calls->slots[index];
    if (slot->expected == IPC_NONE || slot->expected != type ||
        slot->generation != (uint32_t)(token >> 32))
        return -EPROTO;
    *out_call = slot->call;
    release(calls, index);
    return 0;
}

void ipc_calls_cancel(struct ipc_calls *calls, struct ipc_call *call)
{
    /* The slot still counts against the window: the peer owes its reply, and may not owe
     * more than that. */
    if (call->slot < calls->count && calls->slots[call->slot].call == call)
        calls->slots[call->slot].call = NULL;
}

/* Looked for from the start each time: a call's function may add or cancel others before the next
 * is taken. */
struct ipc_call *ipc_calls_take_any(struct ipc_calls *calls)
{
    for (uint32_t i = 0; i < calls->count; i++) {
        struct ipc_call *call = calls->slots[i].call;
        if (call) {
            release(calls, i);
            return call;
        }
    }
    return NULL;
}

void ipc_calls_done(struct ipc_calls *calls)
{
    free(calls->slots);
    *calls = (struct ipc_calls){0};
}
