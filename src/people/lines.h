/* Lines of a text file with their numbers; CR LF ends a line as LF does. */
#pragma once

#include "base/span.h"

struct lines {
    struct span rest;
    uint32_t number; /* of the line just given, from 1 */
};

/* The next line without its end; false at the text's end. A last line without an end counts. */
static inline bool lines_next(struct lines *lines, struct span *out_line)
{
    if (!span_next_line(&lines->rest, out_line))
        return false;
    lines->number++;
    if (out_line->size && out_line->data[out_line->size - 1] == '\r')
        out_line->size--;
    return true;
}

/* Blank, or a comment. */
static inline bool line_is_idle(struct span line)
{
    line = span_trim(line);
    return line.size == 0 || line.data[0] == '#';
}
