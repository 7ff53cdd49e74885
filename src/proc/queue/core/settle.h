/* Outcomes onto the disk. */
#pragma once

#include "proc/queue/core/queue.h"

/* Books what became of recipients of one message: copied, given again until it is sealed. Never
 * fails: one that can't be kept is logged as lost, and its recipients are attempted again. */
void settle(struct queue *q, struct spool_message *message, const struct spool_status *statuses,
            size_t count);
/* There may be room again in the spool. */
void settle_resume(struct queue *q);
/* What the disk never took is forgotten: the next start attempts these recipients again. After
 * spool_close(), which gives back what it has. */
void settle_done(struct queue *q);
