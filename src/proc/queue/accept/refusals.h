/* What smtpd has for the book. */
#pragma once

#include "proc/queue/accept/peer.h"

struct events {
    uint64_t booked, dropped;
    uint32_t unbooked; /* dropped since the last aggregate */
    int64_t first_us;  /* of these */
};

/* Kept for the book when it may say this and comes not too fast; else counted. */
void events_take(struct queue_peer *peer, const struct ipc_arrival *arrival);
/* Once a second: books how many were dropped. */
void events_tick(struct queue *q);
