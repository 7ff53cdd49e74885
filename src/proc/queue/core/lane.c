#include "proc/queue/core/lane.h"

#include <xxhash.h>

unsigned lane_of(const struct route *route)
{
    if (route->way == ROUTE_MAILBOX)
        return LANE_MAILBOX;
    if (route->way == ROUTE_RETURN)
        return LANE_RETURN;
    /* Without a seed: a handful of lanes is no table that chosen names could fill. */
    uint64_t hash = XXH3_64bits(route->destination.data, route->destination.size);
    return LANE_SMTP + (unsigned)(hash % IPC_SMTP_PROCESSES);
}
