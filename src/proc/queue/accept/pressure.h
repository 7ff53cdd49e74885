/* Pressure: when new mail must be deferred, and why. */
#pragma once

#include "base/log.h"
#include "proc/queue/accept/peer.h"

enum { PRESSURE_FIGURES_SIZE = 200 };

struct pressure {
    bool defer;
    char text[160];                      /* a constant, which clients are told */
    char figures[PRESSURE_FIGURES_SIZE]; /* to be put behind it; "" when there are none */
    struct log_seldom alarm;
    struct log_seldom uploads; /* that fail, each by itself (upload.c) */
};

/* Looks whether new mail must be deferred, and tells every smtpd when that changes. Called at least
 * once a second: who couldn't be told is told then. */
void pressure_update(struct queue *q);
/* Tells one: it has just come. */
void pressure_tell(struct queue *q, struct queue_peer *peer);
