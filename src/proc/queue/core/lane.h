/*
 * Lanes of the scheduler: one for each process that carries mail away, and one for what is sent
 * back. So trouble of one is none of the others.
 */
#pragma once

#include "ipc/catalogue.h"
#include "proc/queue/core/route.h"

enum {
    LANE_MAILBOX = 0,
    LANE_SMTP = 1, /* the first of these */
    CARRIERS = LANE_SMTP + IPC_SMTP_PROCESSES,
    LANE_RETURN = CARRIERS, /* no process: what an administrator sends back */
};

/* Jobs under way. Those of the mailbox wait for the disk, those of smtp for strangers far away. */
enum { MAILBOX_JOBS_MAX = 1024, SMTP_JOBS_MAX = 4096 };

/* Who carries on this way. Always the same for one next hop, so that its connections are used
 * again. */
unsigned lane_of(const struct route *route);
