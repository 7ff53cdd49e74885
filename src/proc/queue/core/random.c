#include "proc/queue/core/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int queue_random(struct queue_random *random, void *out, size_t size)
{
    if (size > random->left) {
        if (getrandom(random->bytes, sizeof(random->bytes), 0) != sizeof(random->bytes))
            return -EIO;
        random->left = sizeof(random->bytes);
    }
    random->left -= size;
    memcpy(out, random->bytes + random->left, size);
    /* What was given out isn't left behind for whoever reads our memory: keys of the book's chain.
     */
    explicit_bzero(random->bytes + random->left, size);
    return 0;
}
