/* Outcomes onto the disk. */
#pragma once

#include "proc/queue/core/queue.h"

/* Books what became of recipients of one message: copied, given again until it is sealed. */
void settle(struct queue *q, struct spool_message *message, const struct spool_status *statuses,
            size_t count);
/* There may be room again in the spool. */
void settle_resume(struct queue *q);
void settle_done(struct queue *q);
