/* Has a running server read its configuration anew, for the commands that changed what it reads. */
#pragma once

#include <stdbool.h>

struct cli_control;

/* What the server says of it goes to standard error. CLI_OK, also when *out_partly: some processes
 * go on with the old one for now; CLI_BAD_NEWS (told): nothing changed; CLI_UNREACHED (told). */
int cli_reload_ask(const char *command, struct cli_control *control, bool *out_partly);
