/* What the queue may do once it runs: files beneath its spool, and accept on the control socket. */
#pragma once

#include "proc/common/process.h"

/* Starts the threads inside. Ends the process when a wall that the kernel has can't be raised. */
void queue_sandbox(const struct process *process, int spool_fd, int (*start_threads)(void *arg),
                   void *arg);
