/*
 * Makes a message of 8-bit text into one of 7-bit MIME, for a station that takes nothing else (RFC
 * 6152 section 3): leaves that are 8-bit become quoted-printable (text) or base64 (all else),
 * inside multiparts and attached messages too; what is 7-bit already goes through as it is, so that
 * signatures over it stay valid. A message that isn't MIME becomes MIME with the character set
 * "unknown-8bit" (RFC 1428).
 *
 * Streaming: fed in any pieces, it holds one line and one header field at a time. What the
 * standards leave no way for (8-bit bytes in a header, or in a part that says it has none; more
 * nesting than is sane) is an error: the message must be returned, never damaged.
 */
#pragma once

#include "base/buffer.h"

struct seven_bit;

/* Levels, and bytes of one line and of one header field with its folds: what a message can
 * make it hold. */
enum { SEVEN_BIT_DEPTH_MAX = 32, SEVEN_BIT_LINE_MAX = 262144, SEVEN_BIT_FIELD_MAX = 65536 };

/* NULL: no memory. */
struct seven_bit *seven_bit_new(void);
void seven_bit_free(struct seven_bit *s);

/* Appends what comes of `in`. 0; -EINVAL: it can't be converted, seven_bit_problem() says why (and
 * again at each later call); -ENOMEM. */
int seven_bit_feed(struct seven_bit *s, struct span in, struct buffer *out);
/* The message is at its end: writes what is held back. Errors as of seven_bit_feed(). */
int seven_bit_end(struct seven_bit *s, struct buffer *out);

/* A sentence for people; "" when there was none. A constant. */
const char *seven_bit_problem(const struct seven_bit *s);
