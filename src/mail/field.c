#include "mail/field.h"

/* The line at the front with its end; what is left when the last one has none. */
static size_t line_size(struct span s)
{
    ptrdiff_t end = span_find(s, '\n');

    return end < 0 ? s.size : (size_t)end + 1;
}

/* RFC 5322 3.6.8 ftext; blanks before the colon are the obsolete form (4.5.8). */
static size_t name_size(struct span line)
{
    size_t size = 0;

    while (size < line.size && line.data[size] > ' ' && line.data[size] < 127 &&
           line.data[size] != ':')
        size++;
    struct span after = span_from(line, size);
    while (after.size && (after.data[0] == ' ' || after.data[0] == '\t'))
        after = span_from(after, 1);
    return after.size && after.data[0] == ':' ? size : 0;
}

/* A fold is a line that begins with a blank (RFC 5322 2.2.3), also one of blanks only, which the
 * obsolete form allows (4.2). */
bool field_next(struct span *rest, struct field *out)
{
    size_t size = line_size(*rest), name = name_size(span_first(*rest, size));

    if (name == 0)
        return false;
    while (size < rest->size && (rest->data[size] == ' ' || rest->data[size] == '\t'))
        size += line_size(span_from(*rest, size));
    out->whole = span_first(*rest, size);
    out->name = span_first(*rest, name);
    out->value = span_from(out->whole, (size_t)span_find(out->whole, ':') + 1);
    *rest = span_from(*rest, size);
    return true;
}
