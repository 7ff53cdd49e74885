/* How the answer to `postbuch status` looks to people. Both take what the server sent, with each
 * process's figures as an object; what is missing or of another kind counts as 0 or "". */
#pragma once

#include "cli/cli.h"

/* Whether all is well, in a few lines, what isn't in red. */
void status_print_health(json_t *status, int64_t now_us);

/* Every figure on a line of its own, named by its path: "queue.spool.waiting". 0 or -ENOMEM. */
int status_print_figures(json_t *status);
