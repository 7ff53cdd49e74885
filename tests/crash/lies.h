/*
 * What a taken-over smtpd could tell directory and queue, to relay for strangers or to be somebody
 * else. A line each, as in taken_over.c; at the end "taken-over smtpd: lied, 8 lies".
 */
#pragma once

#include "proc/common/process.h"

/* A peer has come; the lies begin when directory and queue are both there. Takes over `fd`. */
int lies_peer(struct process *process, enum ipc_peer kind, int fd, int listener_fd);
