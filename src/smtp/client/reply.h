/*
 * What a station answers, read as it arrives (RFC 5321 4.2): in any pieces, one reply at a time.
 * The station is a stranger. A reply is kept word for word up to SMTP_HEARD_KEPT bytes, its lines
 * joined by LF, with whatever bytes it holds: whoever shows it makes it printable first. What is
 * longer is read and dropped; what has no end in sight is no reply.
 *
 *   line = 3 digits, the first of them 2 to 5, then "-" (more follow), blank or nothing (the last)
 *
 * A line may end with LF alone; all lines of a reply have the same code.
 */
#pragma once

#include "base/span.h"

/* Bytes. A reply over these limits is none: nobody means it, and it would be read for ever. */
enum {
    SMTP_HEARD_KEPT = 2000,
    SMTP_HEARD_LINE_MAX = 65536,
    SMTP_HEARD_TOTAL_MAX = 262144,
    SMTP_HEARD_STATUS_SIZE = 12, /* "5.123.456" and a NUL */
};

struct smtp_heard {
    uint16_t code;      /* of the reply; while it arrives, of its first line */
    uint16_t line_code; /* of the line under way */
    bool last;          /* this line ends the reply */
    bool whole;         /* the reply is complete: the next byte begins another one */
    uint32_t line_size; /* bytes of the line under way */
    uint32_t total;     /* bytes of the reply */
    uint32_t lines;     /* of the reply, that have ended */
    uint16_t kept;
    char text[SMTP_HEARD_KEPT];
};

void smtp_heard_init(struct smtp_heard *heard);

/* Takes from `in`, at most to the end of the reply. 1: the reply is whole; 0: it goes on; -EPROTO:
 * this is no reply. *out_used: how many bytes it took. */
int smtp_heard_feed(struct smtp_heard *heard, struct span in, size_t *out_used);

/* What was kept, with code. Borrowed until the next feed. */
static inline struct span smtp_heard_text(const struct smtp_heard *heard)
{
    return span_of(heard->text, heard->kept);
}

/* What was kept of the reply so far isn't wanted any more: makes room for the lines that follow. */
static inline void smtp_heard_forget(struct smtp_heard *heard)
{
    heard->kept = 0;
}

/* The first line without its code; takes it off *rest. False when there is none left. */
bool smtp_heard_line(struct span *rest, struct span *out_line);

/* The enhanced status code (RFC 3463) that the reply carries, if its class fits the reply's code;
 * else "N.0.0" of that class; a code 3yz has 4, since RFC 3463 knows no class 3. */
void smtp_heard_status(const struct smtp_heard *heard, char out[static SMTP_HEARD_STATUS_SIZE]);

/* The id under which the station keeps the message, as far as its last reply tells: the usual
 * programs each have their phrase. Empty when there is none. Borrowed from `text`. */
struct span smtp_remote_id(struct span text);
