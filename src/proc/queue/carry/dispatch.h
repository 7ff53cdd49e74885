/* Dispatch: what may go is given to who carries it. Look at it by kick.h. */
#pragma once

#include "proc/queue/core/queue.h"

/* 0 or -errno. */
int dispatch_init(struct queue *q);
void dispatch_done(struct queue *q);
/* A channel to one that carries; owns `fd` unless it fails. 0 or -errno. */
int dispatch_connect(struct queue *q, unsigned carrier, int fd);
/* Once a second: what found no memory goes again. */
void dispatch_tick(struct queue *q);
/* Under way, of all carriers. */
uint32_t dispatch_job_count(const struct queue *q);
/* Waits for no job any more: all go back, booked as uncertain. */
void dispatch_abandon(struct queue *q);
