/* Bodies that come in chunks. */
#pragma once

#include "proc/queue/accept/peer.h"

/* Each chunk is answered by IPC_UPLOAD_TAKEN: when the spool can have more, or with the upload's
 * error. */
void upload_chunk(struct queue_peer *peer, const struct ipc_arrival *arrival);
void upload_abort(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* The complete upload, for spool_accept() to take over; NULL when there is none of this number, it
 * failed or chunks of it wait. upload_taken() forgets it afterwards. */
struct spool_upload *upload_complete(struct queue_peer *peer, uint64_t number);
void upload_taken(struct queue_peer *peer, uint64_t number);
/* There may be room again in the spool. */
void upload_resume(struct queue_peer *peer);
/* The peer is gone, and with it all that it had begun. */
void upload_drop_all(struct queue_peer *peer);
