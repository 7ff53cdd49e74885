/* What the running server can add to a trace: why each waiting recipient hasn't succeeded yet. */
#pragma once

#include "book/trace.h"

struct cli_control;

enum { TRACE_MISSING_MAX = 100 };

struct trace_reasons {
    struct buffer text;
    bool again; /* the question was asked before, of an older look at the book */
    size_t missing_count;
    struct {
        struct id id;
        uint32_t index;
    } missing[TRACE_MISSING_MAX]; /* wait by that look, and the queue didn't have them */
};

/* Makes the text: a paragraph for each of the first waiting recipients in `result`. Whom the queue
 * doesn't have may have come to his end since the book was read: the first question only notes him,
 * and the second, of a book that has caught up since, tells of who is missing once more. CLI_OK;
 * CLI_UNREACHED (told): the server went away or keeps silent, and needn't be asked again;
 * CLI_BAD_NEWS (told): it could not list. */
int trace_why_not_yet(struct cli_control *control, const struct trace_result *result,
                      struct trace_reasons *reasons);
