/* All carriers, and what came of what they were given. */
#pragma once

#include "proc/queue/carry/carrier.h"
#include "proc/queue/core/queue.h"

struct dispatch {
    struct carrier carriers[CARRIERS];
    struct io_timer *timer;
    struct io_timer *expiry; /* the next slice of those given up by their destinations */
    uint64_t last_number;
    bool leaves_doubts; /* at the end: some that no book has */
    uint64_t delivered, relayed, deferred, refused, uncertain, lost; /* recipients, since the start
                                                                      */
};
