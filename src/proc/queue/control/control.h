/*
 * The control socket: who may ask, and what (docs/formats/control.md).
 */
#pragma once

#include "proc/queue/core/queue.h"

/* At the same time; when one more comes the first that is idle is closed, and the log says so. */
enum { CONTROL_CLIENTS_MAX = 64 };

/* Serves the listening socket (owned from here on, also on failure); a former one is closed. 0 or
 * -errno. */
int control_listen(struct queue *q, int fd);
/* Nobody more comes in, and the address is free as far as we had it; who is there stays. NULL is
 * fine. */
void control_stop_listening(struct control *control);
/* Once a second: who had to wait for a descriptor may come in. NULL is fine. */
void control_tick(struct control *control);
void control_free(struct control *control);
