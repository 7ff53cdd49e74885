/* What the book may still do: read the spool's folder, write the ledger's, talk to the queue. */
#pragma once

#include "proc/common/process.h"

/* Will the ledger's folder be "/" in the sandbox? Only root can make it so; else Landlock alone
 * bounds what can be reached, and paths stay as they are. */
bool book_sandbox_has_root(const struct process *process);
/* 0 or -errno. `ledger_fd` and `spool_fd` stay open. */
int book_sandbox_enter(const struct process *process, int spool_fd, int ledger_fd,
                       int (*start_threads)(void *arg), void *arg);
