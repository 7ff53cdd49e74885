/* Pressure: when new mail must be deferred, and why. */
#pragma once

#include "base/buffer.h"
#include "base/log.h"
#include "proc/queue/accept/peer.h"

struct pressure {
    bool defer;
    char text[160]; /* a constant, which clients are told */
    struct log_seldom alarm;
    struct log_seldom uploads; /* that fail, each by itself (upload.c) */
};

/* Looks whether new mail must be deferred, and tells every smtpd when that changes. Called at least
 * once a second: who couldn't be told is told then. */
void pressure_update(struct queue *q);
/* Behind the reason, for who administers the server: what the spool's disk lacks; nothing when it
 * is not that. Strangers read the reason without. What is free is rounded down, so that it never
 * seems to be enough. */
void pressure_append_figures(const struct queue *q, struct buffer *out);
/* Tells one: it has just come. */
void pressure_tell(struct queue *q, struct queue_peer *peer);
