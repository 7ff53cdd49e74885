/*
 * The decoder of message data (RFC 5321 4.1.1.4 and 4.5.2): finds the end, takes the dots out, and
 * watches that lines end with CRLF and nothing else does (RFC 5321 2.3.8). Feed it any pieces.
 *
 * Only CRLF "." CRLF ends the data. Every other spelling of that end has let one message smuggle in
 * another, so a bare CR, a bare LF or a NUL is a fault: the data is read to its real end, and then
 * the message is refused. With `normalize` (old devices in named networks) a bare LF becomes CRLF,
 * a bare CR a blank, a NUL nothing; what they touch still doesn't end the data.
 *
 *            CRLF                '.'            CR             LF
 *   LINE ──────────▶ LINE_START ─────▶ DOT ──────────▶ DOT_CR ─────▶ END
 *     ▲ other              │other       │other           │other
 *     └────────────────────┴────────────┴────────────────┘
 *   CR stands between LINE or LINE_START and LINE_START. smtp_data_finish() ends it in any state.
 *
 * "other" out of DOT and DOT_CR is what stood behind a dot that was doubled: the dot is dropped,
 * and the byte counts as the first of its line. A bare LF leads to LINE, never to LINE_START.
 */
#pragma once

#include "base/buffer.h"

enum smtp_data_state {
    SMTP_DATA_LINE_START,
    SMTP_DATA_LINE,
    SMTP_DATA_CR,     /* a CR was seen, and not given out yet */
    SMTP_DATA_DOT,    /* the dot at the start of a line, not given out */
    SMTP_DATA_DOT_CR, /* that dot and a CR */
    SMTP_DATA_END,
};

/* Why the message must be refused. None ends the data. */
enum smtp_data_fault {
    SMTP_DATA_FAULT_NONE,
    SMTP_DATA_FAULT_BARE_CR,
    SMTP_DATA_FAULT_BARE_LF,
    SMTP_DATA_FAULT_NUL,
    SMTP_DATA_FAULT_LONG_LINE,
};

struct smtp_data {
    enum smtp_data_state state;
    enum smtp_data_fault fault; /* the first one */
    bool dots;                  /* DATA; false: BDAT, whose end is counted (RFC 3030) */
    bool normalize;
    size_t line_size; /* of the line so far */
    size_t line_max;  /* a longer line is a fault */
    uint64_t line;    /* number of the line, from 1: where the first fault was, if there is one */
};

/* `line_max`: bytes of a line without its CRLF. */
void smtp_data_init(struct smtp_data *data, bool dots, bool normalize, size_t line_max);

/* Decodes from `in`, appends to `out`, stops behind the end. Returns how many bytes it took: all,
 * unless the end was found. Appends at most smtp_data_growth(size) bytes. Memory errors are the
 * buffer's. */
size_t smtp_data_decode(struct smtp_data *data, struct span in, struct buffer *out);

/* The input is over without an end of its own (the last chunk): gives out what was held back. */
void smtp_data_finish(struct smtp_data *data, struct buffer *out);

/* Bytes that decoding `size` bytes may give out at most: a normalised LF becomes two, and a held
 * back CR and byte may come along. */
static inline size_t smtp_data_growth(const struct smtp_data *data, size_t size)
{
    return (data->normalize ? 2 * size : size) + 2;
}
