/* The acts of `postbuch queue`: the question before those that can't be undone, progress, result.
 */
#pragma once

#include "cli/control.h"

struct queue_act_wish {
    struct ipc_queue_act act;
    const char *name; /* as it was typed */
    bool yes, json;
};

/* An exit code. */
int queue_act(struct cli_control *control, const struct queue_act_wish *wish);
