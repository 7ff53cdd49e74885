/*
 * Text from strangers made fit for a terminal, a log or a report: what could start a line, move a
 * cursor or turn the reading direction is shown as \xNN, byte by byte. Valid UTF-8 stays readable.
 */
#pragma once

#include "base/buffer.h"

/* Bytes of the harmless UTF-8 character at the start of `s`; 0 when its first byte must be escaped
 * (controls, DEL, C1, line and paragraph separators, direction marks, surrogates, anything that is
 * not the shortest form) or when `s` is empty. */
size_t printable_char_size(struct span s);

/* Bytes at the start of `s` that are printable ASCII: each a character, and a column wide. */
size_t printable_plain_size(struct span s);

/* Appends `s`; a backslash stays itself. 0 or the buffer's error. */
int printable_append(struct buffer *b, struct span s);
