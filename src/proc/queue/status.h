/* The queue's figures for `postbuch status`. */
#pragma once

#include "proc/queue/core/queue.h"

/* Members of a JSON object. */
void queue_status(const struct queue *q, struct buffer *json);
