/* smtpd in the order of its life. */
#pragma once

#include "proc/smtpd/smtpd.h"

int smtpd_init(struct smtpd *smtpd);
void smtpd_use_coming(struct smtpd *smtpd);
int smtpd_connect(struct smtpd *smtpd, enum ipc_peer kind, int fd);
void smtpd_end(struct smtpd *smtpd);
