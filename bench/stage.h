/*
 * The real queue by itself, and what is the same for all programs that play the processes around
 * it. Each function ends the program when something fails.
 */
#pragma once

#include "proc/queue/life.h"

/* The played smtpd. */
struct stage_sender {
    struct ipc_channel *smtpd;
    struct id_maker ids;
    struct ticket_office office;
};

/* Starts the queue on what is in the folder; a deferred message rests for so long. */
void stage_open_queue(struct queue *queue, struct io_loop *loop, const char *folder,
                      int64_t retry_ms);
/* A channel's two ends, with buffers as the supervisor's. */
void stage_pair(int fds[static 2]);
/* Lets the queue take mail from smtpd at this end of a pair. */
void stage_admit(struct queue *queue, int smtpd);

void stage_sender_init(struct stage_sender *sender);
/* One message to one recipient; the call is answered with IPC_COMMITTED. */
void stage_send(struct stage_sender *sender, struct ipc_call *call, struct span from,
                struct span to, struct span body);
