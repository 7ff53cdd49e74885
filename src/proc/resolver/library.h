/* libunbound, set up as a mail server needs it: large caches, many ports, no zones of its own. */
#pragma once

#include "conf/part.h"
#include <unbound.h>

/* A context that isn't in use yet. `anchor`: the trust anchor's text, "" for none. On failure,
 * which is logged, NULL; *out_why is then constant. */
struct ub_ctx *library_open(const struct conf_resolver *conf, struct span anchor,
                            const char **out_why);

/* Starts its thread and waits until it has answered a question about a name of our own: from then
 * on it opens no file. NULL, or why it can't be used (logged). */
const char *library_start(struct ub_ctx *ctx);
