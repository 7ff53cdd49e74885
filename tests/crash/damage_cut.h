/* A file loses its end: where, and who may be touched by it (rule 8 of src/spool/README.md). */
#pragma once

#include "world.h"

/* All that was given is sealed. Draws the place; every message of which a byte or a word lay behind
 * it is marked as harmed, and nobody else may be touched. False: there is no file. */
bool damage_cut(struct world *world, struct store_sim_damage *out);
