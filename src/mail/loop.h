/*
 * Loops. A message that bears Delivered-To with the address of a mailbox was there before;
 * delivering it there again would turn in circles for ever. Whoever looks for it looks in this way:
 * smtpd, which can still refuse the message, and the mailbox, where it may come through an alias.
 * Fed with pieces of any size, the result is the same for each cut.
 */
#pragma once

#include "base/buffer.h"

enum { MAIL_LOOP_LINE = 640, MAIL_LOOP_MARKS_MAX = 100, MAIL_LOOP_BYTES_MAX = 32768 };

struct mail_loop {
    char line[MAIL_LOOP_LINE]; /* the header line that is under way, cut when longer */
    size_t line_size;
    bool body_began;
    unsigned marks;
    struct buffer seen; /* the values, each ended by LF */
};

#define MAIL_LOOP_INIT ((struct mail_loop){.seen = BUFFER_LIMITED(MAIL_LOOP_BYTES_MAX)})

/* Looks at the header only; what comes behind it costs nothing. Errors show in mail_loop_has(). */
void mail_loop_feed(struct mail_loop *t, struct span piece);
/* True when the message was delivered to `address` before, or bears more marks than any way that
 * isn't a loop would leave. */
bool mail_loop_has(const struct mail_loop *t, struct span address);
void mail_loop_done(struct mail_loop *t);
