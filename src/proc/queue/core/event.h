/* What has no row in the spool and belongs in the book: refusals, receipts, alarms, what somebody
 * ticked off. */
#pragma once

#include "mail/event.h"
#include "spool/spool.h"

struct queue;

/* Gives `event` its key for the book's commitments, and it is on its way to the disk. `done` (may
 * be NULL) as of spool_event(), and only after 0. Else -errno: it isn't booked. */
int event_book(struct queue *q, struct event *event, spool_done_fn *done, void *arg);
