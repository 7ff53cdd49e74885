/*
 * What RFC 3461 lets a sender ask for: which fates of a recipient he wants to be told (NOTIFY), how
 * much of his message (RET), and the names under which he knows message and recipient (ENVID,
 * ORCPT). Pure text: parsing is strict, since the values come from strangers and go into reports
 * and into commands to other servers, word for word.
 *
 * Errors: 0 or -EINVAL (not what the RFC allows), and a buffer's own.
 */
#pragma once

#include "base/buffer.h"
#include "mail/envelope.h"

/* "SUCCESS,FAILURE,DELAY" and a NUL, rounded up. */
enum { DSN_NOTIFY_TEXT = 24 };

/* RFC 3461 4.1: "NEVER", or a list of SUCCESS, FAILURE and DELAY. enum envelope_notify. */
int dsn_parse_notify(struct span value, uint8_t *out_notify);
/* RFC 3461 4.3: "FULL" or "HDRS". enum envelope_return. */
int dsn_parse_return(struct span value, uint8_t *out_return);
/* RFC 3461 4.4: xtext that stands for printable ASCII. */
bool dsn_is_envelope_id(struct span value);
/* RFC 3461 4.2: address type, semicolon, xtext that stands for printable ASCII; of the type "utf-8"
 * RFC 6533 section 3, where `utf8` lets the address be UTF-8 itself. */
bool dsn_is_original(struct span value, bool utf8);

/* "SUCCESS,DELAY"; "" when nothing was asked for. */
void dsn_format_notify(uint8_t notify, char out[static DSN_NOTIFY_TEXT]);

/* RFC 3461 section 4: what the xtext stands for, and the other way round. */
int dsn_xtext_decode(struct span xtext, struct buffer *out);
int dsn_xtext_encode(struct span text, struct buffer *out);
/* An ORCPT value for a station that takes only ASCII (RFC 6533 section 3: "\x{E4}"). */
int dsn_original_ascii(struct span value, struct buffer *out);
/* An ORCPT value as a field of a report shows it: the xtext decoded (RFC 3464 2.3.1). */
int dsn_original_decode(struct span value, struct buffer *out);

/* What remains of a sender's wish when his recipient became several: he is told of that instead of
 * each one's delivery (RFC 3461 5.2.7.3). */
uint8_t dsn_notify_after_fan_out(uint8_t notify);
/* Whether this fate is to be told; enum envelope_notify, one of them. Without a wish a sender is
 * told of failures and delays, not of success (RFC 3461 4.1). */
bool dsn_wants(uint8_t notify, enum envelope_notify fate);
