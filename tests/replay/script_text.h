/* What the drivers of scripts share: the text of a line. */
#pragma once

#include "base/span.h"

/* Replaces \r \n \0 \t \\ and \xNN, in place. */
struct span script_unescape(char *text);
/* '*' in the pattern matches any run of bytes. */
bool script_matches(struct span pattern, struct span text);
/* A whole file with a NUL behind it, to be freed; ends the program when it can't be read. */
char *script_read(const char *name);
