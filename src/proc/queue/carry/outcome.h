/* What results mean. */
#pragma once

#include "proc/queue/carry/carrier.h"
#include "proc/queue/core/settle.h"

struct job_item {
    struct spool_recipient *recipient;
    uint32_t item; /* of the scheduler */
    bool wants_receipt;
};

/* Each item's outcome, all of one message, is told to the scheduler and to the spool, which takes
 * the settlement. Items that the result doesn't name are lost. `result` NULL: all are; `sent`:
 * something may have been delivered. */
void outcome_take(const struct carrier *carrier, struct settlement *settlement,
                  const struct job_item *items, uint32_t count, const struct ipc_job_result *result,
                  bool sent);
/* What comes of our own trouble, `temporary` or for good. `why` is borrowed. */
struct ipc_job_outcome outcome_ours(uint32_t index, bool temporary, const char *why);
/* The job could not even be tried: `temporary` or for good. */
void outcome_fail(struct queue *q, const struct job_item *item, bool temporary, const char *why);
/* It wasn't tried, by nobody's fault. */
void outcome_untried(struct queue *q, const struct job_item *item);
/* An alias of which everybody gets the message as another recipient, or through another alias. */
void outcome_duplicate(struct queue *q, const struct job_item *item);
/* An administrator wants it back at its sender. */
void outcome_give_back(struct queue *q, const struct job_item *item);
/* That a crash may have ended an attempt of his, for whoever books the end of one who is in doubt.
 */
struct spool_status outcome_doubt(const struct spool_recipient *recipient);
/* At the end, of all who are in doubt still: the next start knows of no crash. False: not of all,
 * there are too many or there is no memory. */
bool outcome_book_doubts(struct queue *q);
/* Some of those that the scheduler gives up because of their destination: as many as may be told of
 * now and don't hold up the loop. False: there are no more, or no more may be told of now. */
bool outcome_expired(struct queue *q);
