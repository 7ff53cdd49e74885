/* Outcomes onto the disk. */
#pragma once

#include "proc/queue/core/queue.h"

struct settlement;

/* What a process said may be longer than the log has room for, and would be refused for that: a
 * delivery would be made again and again. settle() cuts by itself. */
void settle_cut(struct spool_status *status);

/* Room for what will become of so many recipients of a message, taken while nothing has happened
 * yet, so that it can be booked however short memory is by then. NULL: there is none. */
struct settlement *settlement_new(struct queue *q, size_t recipients);
/* One that wasn't needed. NULL is fine. */
void settlement_free(struct settlement *settlement);

/* Books what became of recipients of one message: copied, given again until it is sealed. What is
 * said of a recipient stands together, the end last: that is kept also without memory, and the
 * words aren't. Takes the settlement. */
void settle_in(struct settlement *settlement, struct spool_message *message,
               const struct spool_status *statuses, size_t count);
/* The same for what can happen again. Never fails: one that can't be kept is logged as lost, and
 * its recipients are attempted again. */
void settle(struct queue *q, struct spool_message *message, const struct spool_status *statuses,
            size_t count);
/* An outcome of this message is kept until there is room for it in the spool: nothing may be said
 * of the message before it. */
bool settle_waits(const struct queue *q, const struct id *message);
/* There may be room again in the spool. */
void settle_resume(struct queue *q);
/* What the disk never took is forgotten: the next start attempts these recipients again. After
 * spool_close(), which gives back what it has. */
void settle_done(struct queue *q);
