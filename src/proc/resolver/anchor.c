/*
 * The text form of RFC 1035 section 5.1 as far as a file of anchors needs it: comments, blanks and
 * parentheses; libunbound reads the records themselves.
 */
#include "proc/resolver/anchor.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(' || c == ')';
}

/* Blanks in a row become one; none at the start. */
static void append(struct buffer *line, char c)
{
    if (!is_blank(c))
        buffer_append_byte(line, c);
    else if (line->size && line->data[line->size - 1] != ' ')
        buffer_append_byte(line, ' ');
}

/* One record, which parentheses may spread over lines. */
static void read_record(struct span *rest, struct buffer *line)
{
    unsigned depth = 0;
    bool comment = false;

    while (rest->size) {
        char c = rest->data[0];
        *rest = span_from(*rest, 1);
        if (c == '\n') {
            comment = false;
            if (depth == 0)
                return;
        }
        comment |= c == ';';
        if (comment)
            continue;
        depth += c == '(';
        depth -= c == ')' && depth > 0;
        append(line, c);
    }
}

bool anchor_next(struct span *rest, struct buffer *out_line)
{
    buffer_clear(out_line);
    while (rest->size && out_line->size == 0)
        read_record(rest, out_line);
    return out_line->size > 0;
}
