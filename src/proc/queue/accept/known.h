/*
 * Who gets a message: a set of addresses, so that nobody who stands in several aliases gets it
 * twice. Hashed with a seed of its own, since strangers choose the addresses.
 */
#pragma once

#include "base/table.h"

/* All zero: empty; then `seed` is to be set. */
struct known {
    struct table table;
    struct span *addresses; /* borrowed; handle N is the one before place N */
    size_t count, room;
    uint64_t seed;
};

bool known_has(const struct known *known, struct span address);
/* Borrows the address until known_done(). The caller has asked known_has(). 0 or -ENOMEM. */
int known_add(struct known *known, struct span address);
/* Empty again, without its memory. */
void known_done(struct known *known);
