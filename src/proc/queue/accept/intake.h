/* Commits: a message is checked, expanded, given to the spool, and answered when it is sealed. */
#pragma once

#include "proc/queue/accept/peer.h"

/* A COMMIT came: it is answered by IPC_COMMITTED, at once or when it is sealed. */
void intake_commit(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* There may be room again in the spool. */
void intake_resume(struct queue *q);
/* All that the peer has under way: it is gone. */
void intake_drop_peer(struct queue_peer *peer);
/* Our own: we end. */
void intake_drop_own(struct queue *q);
