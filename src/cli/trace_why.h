/* What the running server can add to a trace: why each waiting recipient hasn't succeeded yet. */
#pragma once

#include "book/trace.h"

struct cli_control;

/* Appends a paragraph for each of the first waiting recipients in `result`. `is_behind`: the book
 * is, so that the queue doesn't have one says nothing. CLI_OK; CLI_UNREACHED (told): the server
 * went away or keeps silent, and needn't be asked again; CLI_BAD_NEWS (told): it could not list. */
int trace_why_not_yet(struct cli_control *control, const struct trace_result *result,
                      bool is_behind, struct buffer *out);
