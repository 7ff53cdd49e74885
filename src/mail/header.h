/*
 * A scan over a message's header block while it arrives: in any pieces, once over each byte, in
 * constant memory. It ends by itself at the empty line or at the first line that is no header field
 * (RFC 5322 2.2), and then ignores the rest. Lines end with LF or CRLF.
 *
 * What it finds is for the book and for stopping loops; nothing is rewritten here.
 */
#pragma once

#include "base/span.h"

/* RFC 5322 2.1.1: a line's most, so no id that anybody may write is longer. */
enum { HEADER_MESSAGE_ID_MAX = 998 };

enum header_state {
    HEADER_STATE_LINE_START,
    HEADER_STATE_NAME,
    HEADER_STATE_VALUE,    /* of a field that isn't kept */
    HEADER_STATE_CAPTURE,  /* of the first Message-ID */
    HEADER_STATE_CR_START, /* CR at the start of a line */
    HEADER_STATE_END,
};

struct header_scan {
    enum header_state state;
    uint8_t name_size;
    bool captured;     /* a Message-ID was seen: later ones don't count */
    bool capturing;    /* the field that goes on is that one */
    char name[16];     /* lower case, cut off: longer names are of no interest */
    uint32_t fields;   /* how many there are */
    uint32_t received; /* Received fields: the hops so far (RFC 5321 6.3) */
    uint64_t bytes;    /* in the header block so far */
    uint16_t message_id_size;
    char message_id[HEADER_MESSAGE_ID_MAX];
};

/* May be called again for another message. The array isn't cleared, so it costs next to nothing. */
void header_scan_init(struct header_scan *scan);
void header_scan_feed(struct header_scan *scan, struct span piece);

static inline bool header_scan_ended(const struct header_scan *scan)
{
    return scan->state == HEADER_STATE_END;
}

/* "<…>", or empty when there was none that could be shown on a line. Lives in the scan. */
struct span header_scan_message_id(const struct header_scan *scan);
