#include "proc/common/piece.h"

#include <stdlib.h>

struct piece *piece_new(const struct ipc_arrival *arrival, struct span bytes, uint64_t token)
{
    struct piece *piece = malloc(sizeof(*piece) + bytes.size);

    if (!piece)
        return NULL;
    *piece = (struct piece){.token = token, .held = ipc_hold(arrival), .size = bytes.size};
    memcpy(piece->bytes, bytes.data, bytes.size);
    return piece;
}

void piece_settle(struct piece *piece, struct ipc_channel *queue)
{
    struct ipc_message reply = {.type = IPC_JOB_TAKEN};

    if (queue && piece->token)
        ipc_reply(queue, piece->token, &reply);
    if (queue)
        ipc_release(queue, IPC_CLASS_BODY, piece->held);
    free(piece);
}
