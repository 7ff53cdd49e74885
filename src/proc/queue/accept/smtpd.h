/* The channels of smtpd: every message that is accepted from one. */
#pragma once

#include "proc/queue/core/queue.h"

/* A channel to this one, new or anew; owns `fd` on success. `number`: the origin of its ids. 0 or
 * -errno. */
int smtpd_join(struct queue *q, unsigned index, uint16_t number, int fd);
/* All that they have under way goes with them. */
void smtpd_drop_all(struct queue *q);
