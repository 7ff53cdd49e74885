/* smtpd in the order of its life. */
#pragma once

#include "proc/smtpd/smtpd.h"

/* 0 or -errno. Before the sandbox: OpenSSL looks up its algorithms. */
int smtpd_init(struct smtpd *smtpd);
/* The coming generation is in force from now on, and accepts. */
void smtpd_use_coming(struct smtpd *smtpd);
/* A channel to the directory or the queue, new or anew. Owns `fd`, also when it fails. 0 or -errno.
 */
int smtpd_connect(struct smtpd *smtpd, enum ipc_peer kind, int fd);
/* Accepts nobody any more, and ends the process when the last session is over, or in time. */
void smtpd_end(struct smtpd *smtpd);
