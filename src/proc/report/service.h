/*
 * What the report process does for the queue: writes reports (mail/report.h).
 *
 * Accepts: IPC_REPORT from queue, answered at once.
 */
#pragma once

#include "ipc/channel.h"

struct report_service {
    struct ipc_channel *queue; /* NULL: none now */
    uint64_t written;
};

/* A channel to the queue, instead of the one before. Takes over `fd`, unless it fails. 0 or -errno.
 */
int report_service_connect(struct report_service *service, struct io_loop *loop, int fd);
