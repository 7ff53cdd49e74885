/* A file loses its end: where, and who may be touched by it (rule 8 of src/spool/README.md). */
#pragma once

#include "world.h"

/* All that was given is sealed. Draws the place; every message of which a byte or a word lay behind
 * it is marked as harmed, and nobody else may be touched. False: there is no file. */
bool damage_cut(struct world *world, struct store_sim_damage *out);

/* The same of a block that can't be read until store_sim_set_unreadable() takes that back: who has
 * a byte in it may be touched, or lies behind the last seal. False: there is none. */
bool damage_unread(struct world *world, struct store_sim_damage *out);
