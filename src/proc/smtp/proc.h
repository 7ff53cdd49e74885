/* The smtp process, in the order of its life. */
#pragma once

#include "proc/smtp/smtp.h"

/* 0 or -errno. `conf` must stay until the next one is used. */
int smtp_proc_init(struct smtp_proc *proc, const struct conf_smtp *conf);
/* Ways under way have borrowed what changes: their jobs are for a later attempt. */
int smtp_proc_use(struct smtp_proc *proc, const struct conf_smtp *conf);
/* Each takes over `fd`, unless it fails. */
int smtp_proc_connect_queue(struct smtp_proc *proc, int fd);
int smtp_proc_connect_resolver(struct smtp_proc *proc, int fd);
/* Takes no more jobs, answers what hasn't begun, finishes the rest or gives it up in time, then
 * ends the process. */
void smtp_proc_end(struct smtp_proc *proc);
/* Frees all, for tests. */
void smtp_proc_done(struct smtp_proc *proc);
