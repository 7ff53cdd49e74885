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
    if (lines->rest.size == 0)
        return false;
    ptrdiff_t end = span_find(lines->rest, '\n');
    struct span line = end < 0 ? lines->rest : span_first(lines->rest, (size_t)end);
    lines->rest = span_from(lines->rest, line.size + 1);
    lines->number++;
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    *out_line = line;
    return true;
}

/* Blank, or a comment. */
static inline bool line_is_idle(struct span line)
{
    line = span_trim(line);
    return line.size == 0 || line.data[0] == '#';
}
