/*
 * A person's name as the phrase before an address (RFC 5322 3.4): as it is where that is legal,
 * else quoted, else (beyond ASCII) as encoded words (RFC 2047).
 */
#pragma once

#include "base/buffer.h"

/* `name` is UTF-8; control characters become blanks. 0 or the buffer's error. */
int display_name_write(struct span name, struct buffer *out);
