/*
 * An smtpd as the queue sees it: hostile. Whatever it has under way is counted and bounded, and
 * goes when it goes.
 */
#pragma once

#include "proc/queue/accept/ids.h"
#include "proc/queue/core/queue.h"

enum {
    PEER_UPLOADS_MAX = 2000,               /* at the same time: a session has one at most */
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
    bool untold;         /* of the pressure that is now: there was no memory or credit for it */
    struct list uploads; /* struct upload, latest used first */
    uint32_t upload_count;
    struct list commits;                /* struct commit */
    uint32_t event_tokens, event_bytes; /* left in this second */
    int64_t event_second;
};
