/* What the spool of the running server found damaged since its start: `postbuch queue damage`. */
#pragma once

#include "cli/control.h"

/* Prints it. CLI_OK: nothing was; CLI_BAD_NEWS; CLI_UNREACHED. */
int queue_damage_print(struct cli_control *control, bool json);
/* Below a listing for people: a line when something was. */
int queue_damage_hint(struct cli_control *control);
