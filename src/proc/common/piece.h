/*
 * A piece of a message as the queue sends it to a process that delivers: kept until it was used.
 * Only then does the queue have the credit for its bytes again, and the answer to its call.
 */
#pragma once

#include "base/list.h"
#include "ipc/channel.h"

struct piece {
    struct list link;
    uint64_t token; /* of the call that brought it; 0: it came with the job */
    size_t held;    /* bytes of credit */
    size_t size;
    char bytes[];
};

/* Copies `bytes` of the arrival's message and holds its credit. NULL without memory: nothing is
 * held. piece_settle() it. */
struct piece *piece_new(const struct ipc_arrival *arrival, struct span bytes, uint64_t token);

/* Confirms it, gives the credit back and frees it; NULL as queue: the one it came from is gone. The
 * piece must be in no list. */
void piece_settle(struct piece *piece, struct ipc_channel *queue);
