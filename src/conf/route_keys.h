/* The schemas of `relays` and `routes`: how mail is carried on to other servers. */
#pragma once

#include "conf/schema.h"

extern const struct conf_schema conf_relay_schema, conf_route_schema;
