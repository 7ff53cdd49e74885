/*
 * The encoder of message data: the counterpart of smtp/data.h. It doubles dots at the start of
 * lines (RFC 5321 4.5.2) and sees to it that no CR or LF leaves alone: a station that takes one for
 * a line's end must not find an end of data, or a whole other message, where there is none. A bare
 * LF becomes CRLF, a bare CR a blank; neither is in what smtpd takes, so this mends nothing that
 * was whole.
 *
 * Feed it any pieces. Lines that need no care, which is nearly all of them, are copied in runs.
 */
#pragma once

#include "base/buffer.h"

struct smtp_encode {
    bool dots;        /* DATA; false: BDAT, whose end is counted (RFC 3030) */
    bool inside_line; /* something of the line has come */
    bool after_cr;    /* the last byte was a CR, not given out yet */
};

static inline void smtp_encode_init(struct smtp_encode *encode, bool dots)
{
    *encode = (struct smtp_encode){.dots = dots};
}

/* Errors are the buffer's. */
void smtp_encode_feed(struct smtp_encode *encode, struct span in, struct buffer *out);
/* Ends the last line, if it has no end. */
void smtp_encode_end(struct smtp_encode *encode, struct buffer *out);
