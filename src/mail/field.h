/*
 * The fields of a header that lies in memory as a whole, one after the other, folded lines included
 * (RFC 5322 2.2). For a header that is still arriving there is mail/header.h.
 */
#pragma once

#include "base/span.h"

struct field {
    struct span name;  /* without blanks at its end */
    struct span value; /* after the colon, as it is: folds and the last line's end included */
    struct span whole;
};

/* Takes the next field off the front of *rest. False at the header's end: an empty line, a line
 * that is no field, or no bytes; *rest then starts there. Lines end with LF or CRLF. */
bool field_next(struct span *rest, struct field *out);

/* Names have no case (RFC 5322 1.2.2). */
static inline bool field_is(const struct field *f, const char *name)
{
    return span_equal_nocase(f->name, span_from_cstr(name));
}
