/* The life of the queue, in its order. */
#pragma once

#include "proc/queue/core/queue.h"
#include "spool/store.h"

/* Starts the parts and opens nothing: the sandbox comes after. 0 or -errno. */
int queue_start(struct queue *q, struct io_loop *loop, const struct conf_queue *conf);
/* Once, behind the sandbox's walls; before queue_open(). 0 or -errno. */
int queue_start_threads(struct queue *q);
/* Opens the spool on `store` and schedules all that waits. 0 or -errno. */
int queue_open(struct queue *q, struct store *store);
/* `conf` is borrowed until the next one; routes that changed are followed at once. 0. */
int queue_reconfigure(struct queue *q, const struct conf_queue *conf);
/* A channel to a peer; owns `fd`. `origin`: of the ids that it makes. */
int queue_peer(struct queue *q, enum ipc_peer kind, unsigned index, uint16_t origin, int fd);
/* Ends what is under way, then calls `closed`. */
void queue_close(struct queue *q, void (*closed)(struct queue *q));
/* After `closed`: frees all. */
void queue_done(struct queue *q);
