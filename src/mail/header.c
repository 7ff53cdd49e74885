/*
 * LINE_START ──name byte──▶ NAME ──":"──▶ VALUE or CAPTURE ──LF──▶ LINE_START
 *     │  ▲                   │                    ▲
 *     │  └──── blank: the field before goes on ───┘
 *     └─ CR: CR_START ─┐     └─ no colon ─┐
 *     └─ LF, or what begins no field ─────┴──▶ END
 *
 * CR_START is END with the next byte, whatever that is. A blank goes on with a field only where
 * there is one.
 *
 * A value runs over at the speed of memchr(); only names are looked at byte by byte.
 */
#include "mail/header.h"

void header_scan_init(struct header_scan *scan)
{
    scan->state = HEADER_STATE_LINE_START;
    scan->name_size = 0;
    scan->captured = scan->capturing = false;
    scan->fields = scan->received = 0;
    scan->bytes = 0;
    scan->message_id_size = 0;
}

/* RFC 5322 ftext. */
static bool is_name_byte(char c)
{
    return c > ' ' && c < 127 && c != ':';
}

static bool name_is(const struct header_scan *scan, struct span name)
{
    return span_equal(span_trim(span_of(scan->name, scan->name_size)), name);
}

/* Only the first Message-ID counts: a second one is somebody's addition, and the book must have
 * one. */
static void begin_value(struct header_scan *scan)
{
    scan->fields++;
    scan->capturing = false;
    if (name_is(scan, SPAN("received")))
        scan->received++;
    if (!scan->captured && name_is(scan, SPAN("message-id")))
        scan->captured = scan->capturing = true;
    scan->state = scan->capturing ? HEADER_STATE_CAPTURE : HEADER_STATE_VALUE;
}

static void on_name(struct header_scan *scan, char c)
{
    if (c == ':') {
        begin_value(scan);
    } else if (!is_name_byte(c) && c != ' ' && c != '\t') {
        scan->state = HEADER_STATE_END; /* a line without a colon: the body has begun */
    } else if (scan->name_size < sizeof(scan->name)) {
        scan->name[scan->name_size++] = ascii_lower(c);
    }
}

static void on_line_start(struct header_scan *scan, char c)
{
    if (c == '\n') {
        scan->state = HEADER_STATE_END;
    } else if (c == '\r') {
        scan->state = HEADER_STATE_CR_START;
    } else if ((c == ' ' || c == '\t') && scan->fields) {
        scan->state = scan->capturing ? HEADER_STATE_CAPTURE : HEADER_STATE_VALUE;
    } else if (is_name_byte(c)) {
        scan->name_size = 0;
        scan->state = HEADER_STATE_NAME;
        on_name(scan, c);
    } else {
        scan->state = HEADER_STATE_END;
    }
}

/* What is longer than the place is cut: its closing bracket is then missing, so it isn't shown. */
static void capture(struct header_scan *scan, struct span text)
{
    size_t room = sizeof(scan->message_id) - scan->message_id_size;
    size_t size = text.size < room ? text.size : room;

    memcpy(scan->message_id + scan->message_id_size, text.data, size);
    scan->message_id_size = (uint16_t)(scan->message_id_size + size);
}

/* The rest of a line at once; returns how much of `rest` it took. */
static size_t on_value(struct header_scan *scan, struct span rest)
{
    ptrdiff_t end = span_find(rest, '\n');
    size_t size = end < 0 ? rest.size : (size_t)end + 1;

    if (scan->state == HEADER_STATE_CAPTURE)
        capture(scan, span_first(rest, size));
    if (end >= 0)
        scan->state = HEADER_STATE_LINE_START;
    return size;
}

static size_t on_bytes(struct header_scan *scan, struct span rest)
{
    switch (scan->state) {
    case HEADER_STATE_LINE_START:
        on_line_start(scan, rest.data[0]);
        return 1;
    case HEADER_STATE_NAME:
        on_name(scan, rest.data[0]);
        return 1;
    /* CR LF ends the header; CR and anything else is no field, so the body has begun
     * all the same. */
    case HEADER_STATE_CR_START:
        scan->state = HEADER_STATE_END;
        return 1;
    case HEADER_STATE_VALUE:
    case HEADER_STATE_CAPTURE:
        return on_value(scan, rest);
    case HEADER_STATE_END:
        break;
    }
    return rest.size;
}

void header_scan_feed(struct header_scan *scan, struct span piece)
{
    while (piece.size && scan->state != HEADER_STATE_END) {
        size_t took = on_bytes(scan, piece);
        scan->bytes += took;
        piece = span_from(piece, took);
    }
}

/* The first <…> of the field. A blank or control byte inside makes it worthless: folded ids are
 * broken ones, and nobody could look for them. */
struct span header_scan_message_id(const struct header_scan *scan)
{
    struct span value = span_of(scan->message_id, scan->message_id_size);
    ptrdiff_t open = span_find(value, '<');

    if (open < 0)
        return span_of("", 0);
    value = span_from(value, (size_t)open);
    ptrdiff_t close = span_find(value, '>');
    if (close < 0)
        return span_of("", 0);
    value = span_first(value, (size_t)close + 1);
    for (size_t i = 0; i < value.size; i++)
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == 127)
            return span_of("", 0);
    return value;
}
