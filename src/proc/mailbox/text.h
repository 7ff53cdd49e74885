/*
 * The line ends of a message on its way into a Maildir: fed with pieces of any size, the result is
 * the same for each cut.
 *
 * On the wire a line ends with CRLF; a Maildir's files have Unix line ends (LF), as every reader of
 * Maildirs expects. Each CRLF becomes LF and nothing else changes, so the message can be had back
 * exactly: a bare LF never got past the reception (RFC 5321 2.3.8). A bare CR stays. A body
 * declared BINARYMIME (RFC 3030) has no lines and is stored as it is.
 */
#pragma once

#include "base/buffer.h"

struct text_lines {
    bool held_cr;   /* the last piece ended with CR */
    uint64_t ended; /* CRLFs that became LF */
};

/* Appends the converted piece. Errors are the buffer's. */
void text_lines_feed(struct text_lines *t, struct span piece, struct buffer *out);
/* A CR that ended the message is written. */
void text_lines_finish(struct text_lines *t, struct buffer *out);
