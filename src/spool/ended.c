/*
 * The mark of an owner that ended well: a file, written when nothing is under way and removed at
 * the next start before anything else. Without it the next owner must take every attempt that was
 * due for one that may have been made (rule 4).
 */
#include "spool/lane.h"

#include <errno.h>
#include <stdlib.h>

static const char NAME[] = "ended";

/* The mark is gone for good before anything is attempted again: a crash then finds none. If it
 * can't be read, or not be removed for certain, the end doesn't count as good: doubt costs a
 * duplicate at most. */
void ended_take(struct spool *spool)
{
    void *data = NULL;
    size_t size;
    int r = spool->ops->get_file(spool->store, NAME, 64, &data, &size);

    if (r == -ENOENT)
        return;
    free(data);
    spool->ended_well = spool->ops->remove_file(spool->store, NAME) == 0 && r == 0;
}

bool spool_ended_well(const struct spool *spool)
{
    return spool->ended_well;
}

int spool_end(struct spool *spool)
{
    static char text[] = "nothing was under way\n";
    struct iovec part = {text, sizeof(text) - 1};

    return spool->ops->put_file(spool->store, NAME, &part, 1);
}
