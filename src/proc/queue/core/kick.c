#include "proc/queue/core/kick.h"

#include "proc/queue/core/queue.h"

void dispatch_kick(struct queue *q)
{
    if (!q->closing) /* then no job is started, and nothing may be left on the loop */
        io_defer_late(q->loop, &q->dispatch_kick); /* who sent it gets his reply first */
}
