/* What happens in a simulated life: which act comes next, by chance, and the fixed one that the
 * crash points cut. */
#pragma once

#include "world.h"

/* One whole life of `steps` steps with crashes and faults, ending with an orderly stop and with all
 * mail delivered. Stops at the first broken rule. */
void workload_run(struct world *world, uint64_t steps);
/* The same without crashes and faults. */
void workload_peaceful(struct world *world, uint64_t steps);
/* The end of every life: all is written, folded, recovered once more, delivered and folded; then
 * nothing may be left. */
void workload_end(struct world *world);
/* The fixed workload, the same for each `world` of one seed until the disk stops. */
void workload_fixed(struct world *world);
