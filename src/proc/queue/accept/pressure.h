/* Pressure: when new mail must be deferred, and why. */
#pragma once

#include "proc/queue/accept/peer.h"

struct pressure {
    bool defer;
    char text[160];
    bool alarmed;
    int64_t alarmed_ms; /* when a person was told of it the last time */
};

/* Looks whether new mail must be deferred, and tells every smtpd when that changes. */
void pressure_update(struct queue *q);
/* Tells one: it has just come. */
void pressure_tell(struct queue *q, struct queue_peer *peer);
