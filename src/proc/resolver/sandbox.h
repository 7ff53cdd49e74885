/* The resolver's sandbox: no file; sockets to name servers. */
#pragma once

#include "proc/common/process.h"

/* `start_threads`: as in struct sandbox. */
void resolver_sandbox_enter(const struct process *process, int (*start_threads)(void *arg),
                            void *arg);
