/*
 * The mark of an owner that ended well: a file, written when nothing is under way and removed at
 * the next start before anything else. Without it the next owner must take every attempt that was
 * due for one that may have been made (rule 4). It names the last seal: one that stayed, or came
 * back with a copy of the folder, says nothing of what was written since.
 */
#include "spool/lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char NAME[] = "ended";

enum { TEXT_BYTES = 80 };

static struct span mark(const struct spool *spool, char out[static TEXT_BYTES])
{
    snprintf(out, TEXT_BYTES, "nothing was under way behind seal %" PRIu64 " %016" PRIx64 "\n",
             spool->sequence, spool->last_sum);
    return span_from_cstr(out);
}

/* The mark is gone for good before anything is attempted again: a crash then finds none. If it
 * can't be read, or not be removed for certain, the end doesn't count as good: doubt costs a
 * duplicate at most. */
void ended_take(struct spool *spool)
{
    int r = spool->ops->get_file(spool->store, NAME, TEXT_BYTES, &spool->ended, &spool->ended_size);

    if (r == -ENOENT)
        return;
    int removed = spool->ops->remove_file(spool->store, NAME);
    if (r < 0 || removed < 0)
        spool->ended_size = 0;
    if (removed < 0) /* which is sealed, and outdates the mark */
        append_alarm(spool, SPOOL_ALARM_FAILED, NULL, (struct spool_position){0},
                     "removing the mark of the last end: %s", strerror(-removed));
}

void ended_check(struct spool *spool)
{
    char text[TEXT_BYTES];

    spool->ended_well = spool->ended_size &&
                        span_equal(span_of(spool->ended, spool->ended_size), mark(spool, text));
    free(spool->ended);
    spool->ended = NULL;
}

bool spool_ended_well(const struct spool *spool)
{
    return spool->ended_well;
}

int spool_end(struct spool *spool)
{
    char text[TEXT_BYTES];
    struct iovec part = {text, mark(spool, text).size};

    return spool->ops->put_file(spool->store, NAME, &part, 1);
}
