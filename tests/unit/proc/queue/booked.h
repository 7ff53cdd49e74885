/*
 * The statuses that the log of a played queue has, for tests of what is booked of attempts.
 */
#pragma once

#include "world.h"

enum { BOOKED_MAX = 64 };

/* A status of the log; texts copied. */
struct booked {
    struct spool_status status;
    size_t remote_id_bytes;
    char enhanced[20], reply[100], host[100], remote_id[50], detail[100];
};

extern struct booked booked[BOOKED_MAX];
extern size_t booked_count;

/* All that are sealed, in the order of the log, into booked[]. */
void booked_read(struct world *w);
