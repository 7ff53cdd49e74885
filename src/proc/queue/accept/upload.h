/* Bodies that come in chunks. */
#pragma once

#include "proc/queue/accept/peer.h"

void upload_chunk(struct queue_peer *peer, const struct ipc_arrival *arrival);
void upload_abort(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* The complete upload, for spool_accept() to take over; NULL when there is none of this number, it
 * failed or chunks of it wait. upload_taken() forgets it afterwards. */
struct spool_upload *upload_complete(struct queue_peer *peer, uint64_t number);
void upload_taken(struct queue_peer *peer, uint64_t number);
/* There may be room again in the spool. */
void upload_resume(struct queue_peer *peer);
void upload_drop_all(struct queue_peer *peer);
