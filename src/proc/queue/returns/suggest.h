/* A domain that was perhaps meant: the nearest one of those that are delivered here, that routes
 * name, and that many people write to. Pure. */
#pragma once

#include "conf/part.h"
#include "mail/envelope.h"

/* `address` with that domain instead of its own; the size of what is in `out`, 0 when no known
 * domain is near. */
size_t suggest_address(const struct conf_queue *conf, struct span address,
                       char out[static ENVELOPE_ADDRESS_MAX]);
