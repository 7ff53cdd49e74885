/*
 * The mailbox process's sandbox: the mail user's id, files beneath the roots of the mailboxes and
 * nowhere else, no network.
 */
#pragma once

#include "proc/common/process.h"
#include "proc/common/sandbox.h"
#include "proc/mailbox/domains.h"

/* `start_threads` runs inside Landlock's walls, which new threads inherit. */
void mailbox_sandbox_enter(const struct process *process, struct mailbox_roots *roots,
                           int (*start_threads)(void *arg), void *arg);
