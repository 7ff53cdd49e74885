/*
 * The calls of one channel that wait for their replies: a table of slots, reused with a new
 * generation each time, so that a late or forged token can't reach another call.
 */
#pragma once

#include "ipc/channel.h"

struct ipc_slot {
    struct ipc_call *call; /* NULL: free, or cancelled and its reply is still to come */
    uint32_t generation;
    uint32_t next_free;     /* index + 1; 0 ends the list */
    enum ipc_type expected; /* IPC_NONE: the slot is free */
};

struct ipc_calls {
    struct ipc_slot *slots;
    uint32_t count, first_free; /* first_free: index + 1 */
    uint32_t pending;           /* replies to come, at most IPC_CALL_WINDOW */
};

/* Takes a slot. 0, -EAGAIN when the window is full, -ENOMEM. */
int ipc_calls_add(struct ipc_calls *calls, struct ipc_call *call, enum ipc_type expected,
                  uint64_t *out_token);
/* A reply came: frees its slot. 0 with the call (NULL when it was cancelled), or -EPROTO. */
int ipc_calls_take(struct ipc_calls *calls, uint64_t token, enum ipc_type type,
                   struct ipc_call **out_call);
/* Forgets the call; its slot stays until the reply comes. */
void ipc_calls_cancel(struct ipc_calls *calls, struct ipc_call *call);
/* The call of a slot that still has one, taken out; NULL when there is none left. For the end of a
 * channel: each call is told that no reply comes. */
struct ipc_call *ipc_calls_take_any(struct ipc_calls *calls);
/* Forgets all slots without a word to their calls. */
void ipc_calls_done(struct ipc_calls *calls);
