/*
 * Replies of an SMTP server (RFC 5321 4.2) with enhanced status codes (RFC 2034, RFC 3463). Text
 * that quotes a peer is made safe here: what is not printable ASCII becomes '?', and a line never
 * passes the 512 bytes of RFC 5321 4.5.3.1.5.
 */
#pragma once

#include "base/buffer.h"

/* 512 without code, enhanced code (at most 12 with its blank) and CRLF, and some to spare. */
enum { SMTP_REPLY_TEXT_MAX = 480 };

/* Mostly static: what a server says is known beforehand, but for what it quotes. */
struct smtp_reply {
    uint16_t code;
    const char *enhanced; /* NULL: none (greeting, EHLO, 354) */
    const char *text;
};

/* Appends one line of a reply; all but the last have '-' behind the code. Errors are the buffer's.
 */
void smtp_reply_line(struct buffer *out, const struct smtp_reply *reply, struct span text,
                     bool last);

/* Appends the whole of a one-line reply. */
void smtp_reply_write(struct buffer *out, const struct smtp_reply *reply);

/* Makes peers' bytes harmless, in place. */
void smtp_text_clean(char *data, size_t size);
