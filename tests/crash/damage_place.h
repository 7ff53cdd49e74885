/* What a damaged byte belongs to, and so what may come of it (rule 8 of src/spool/README.md). */
#pragma once

#include "world.h"

struct damage_place {
    const char *name;
    bool may_touch; /* one message: it is shown again, held, or its recipient gets a duplicate */
    bool may_lose;  /* it is gone from the queue; its bytes are set aside */
};

/* The spool is open still, and the damage done. */
struct damage_place damage_place_of(struct world *world, const struct store_sim_damage *damage);
