/* Quoted-printable (RFC 2045 section 6.7) for texts of our own. */
#pragma once

#include "base/buffer.h"

/* Appends `text`, whose lines end in LF, as quoted-printable with lines ending in CRLF and of at
 * most 76 characters. 0 or the buffer's error. */
int quoted_printable_append(struct buffer *out, struct span text);
