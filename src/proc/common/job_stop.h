/*
 * The end of a carrier. What the queue's socket hasn't taken, or the carrier hasn't read from it,
 * is lost with it: the queue would take for uncertain, and send again, what was delivered, and what
 * nobody has tried. So it asks for no more jobs first, and goes when all that was there is answered
 * and all answers are on their way.
 */
#pragma once

#include "ipc/channel.h"

struct job_stop {
    struct ipc_call call;
    bool done;                              /* the queue has answered: all jobs are here */
    void (*stopped)(struct job_stop *stop); /* then; NULL: nobody waits for it */
};

/* For who is about to end. Nothing when the queue was asked or has answered. `queue` NULL: there is
 * none. Without credit it is asked at the next call. */
void job_stop_ask(struct job_stop *stop, struct ipc_channel *queue);
/* No job can come any more, and nothing that was said waits for the socket. */
bool job_stop_has_told_all(const struct job_stop *stop, struct ipc_channel *queue);
