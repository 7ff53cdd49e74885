/*
 * The bytes of a message on their way into a Maildir: two machines that are fed with pieces of any
 * size and give the same result for each cut.
 *
 * Line ends. On the wire a line ends with CRLF; a Maildir's files have Unix line ends (LF), as
 * every reader of Maildirs expects. Each CRLF becomes LF and nothing else changes, so the message
 * can be had back exactly: a bare LF never got past the reception (RFC 5321 2.3.8). A bare CR
 * stays. A body declared BINARYMIME (RFC 3030) has no lines and is stored as it is.
 *
 * Loops. A message that bears Delivered-To with an address was in that mailbox before; delivering
 * it there again would turn in circles for ever.
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

enum { TEXT_LOOP_LINE = 640, TEXT_LOOP_MARKS_MAX = 100, TEXT_LOOP_BYTES_MAX = 32768 };

struct text_loop {
    char line[TEXT_LOOP_LINE]; /* the header line that is under way, cut when longer */
    size_t line_size;
    bool body_began;
    unsigned marks;
    struct buffer seen; /* the values, each ended by LF */
};

#define TEXT_LOOP_INIT ((struct text_loop){.seen = BUFFER_LIMITED(TEXT_LOOP_BYTES_MAX)})

/* Looks at the header only; what comes behind it costs nothing. Errors show in text_loop_has(). */
void text_loop_feed(struct text_loop *t, struct span piece);
/* True when the message was delivered to `address` before, or bears more marks than any way that
 * isn't a loop would leave. */
bool text_loop_has(const struct text_loop *t, struct span address);
void text_loop_done(struct text_loop *t);
