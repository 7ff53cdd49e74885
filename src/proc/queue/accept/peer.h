/*
 * An smtpd as the queue sees it: hostile. Whatever it has under way is counted and bounded, and
 * goes when it goes.
 */
#pragma once

#include "proc/queue/accept/ids.h"
#include "proc/queue/queue.h"

enum {
    PEER_UPLOADS_MAX = 2000,               /* at the same time */
    PEER_EVENTS_PER_SECOND = 2000,         /* kept for the book one by one */
    PEER_EVENT_BYTES_PER_SECOND = 2 << 20, /* a refusal has a few hundred; it may have 32 KiB */
};

/* What is known of those who make ids with one origin: an smtpd, and whoever takes its place. */
struct queue_origin {
    struct list link;
    struct id_watch ids;
};

struct queue_peer {
    struct list link;
    struct queue *queue;
    unsigned index;
    struct queue_origin *origin;
    struct ipc_channel *channel;
    struct list uploads; /* struct upload, latest used first */
    uint32_t upload_count;
    struct list commits;                /* struct commit */
    uint32_t event_tokens, event_bytes; /* left in this second */
    int64_t event_second;
};

/* ---- upload.c: bodies that come in chunks ---- */

void upload_chunk(struct queue_peer *peer, const struct ipc_arrival *arrival);
void upload_abort(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* The complete upload, for spool_accept() to take over; NULL when there is none of this number, it
 * failed or chunks of it wait. upload_taken() forgets it afterwards. */
struct spool_upload *upload_complete(struct queue_peer *peer, uint64_t number);
void upload_taken(struct queue_peer *peer, uint64_t number);
/* There may be room again in the spool. */
void upload_resume(struct queue_peer *peer);
void upload_drop_all(struct queue_peer *peer);
