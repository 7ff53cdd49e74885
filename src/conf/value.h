/*
 * Values as people write them: "50M", "4d", "yes". Parsers take the whole text and return 0,
 * -EINVAL (not of this form) or -ERANGE (too large), with the output untouched on failure.
 */
#pragma once

#include "base/buffer.h"

/* Bytes: digits and an optional K, M, G or T (powers of 1024), with an optional B: "50M", "64KB".
 */
int conf_size_parse(struct span text, uint64_t *out_bytes);

/* Milliseconds: one or more of digits with ms, s, m, h, d, w: "90s", "1h30m", "4d". A bare 0 is 0.
 */
int conf_duration_parse(struct span text, uint64_t *out_ms);

/* The same the other way round, in the largest unit that needs no fraction; appended. */
void conf_size_format(uint64_t bytes, struct buffer *out);
void conf_duration_format(uint64_t ms, struct buffer *out);

/* yes, no, true, false, on, off. */
int conf_bool_parse(struct span text, bool *out);

/* Edits between the two (insert, delete, replace, swap neighbours), at most `max` + 1. */
unsigned conf_edit_distance(struct span a, struct span b, unsigned max);
