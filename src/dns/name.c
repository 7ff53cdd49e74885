/*
 * Both directions go byte by byte over a fixed place of 255 bytes, the longest name there is; a
 * name that doesn't fit is none. Compression pointers are refused: whoever hands us names has
 * expanded them.
 */
#include "dns/name.h"

#include <errno.h>
#include <stdio.h>

/* One byte of a label, escaped or not. Returns the bytes of text it took, 0 when it is none. */
static size_t read_byte(struct span text, uint8_t *out)
{
    unsigned value = 0;

    if (text.data[0] != '\\') {
        *out = (uint8_t)ascii_lower(text.data[0]);
        return 1;
    }
    if (text.size < 2)
        return 0;
    if (text.data[1] < '0' || text.data[1] > '9') {
        *out = (uint8_t)ascii_lower(text.data[1]);
        return 2;
    }
    for (size_t i = 1; i <= 3; i++) {
        if (i >= text.size || text.data[i] < '0' || text.data[i] > '9')
            return 0;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    if (value > UINT8_MAX)
        return 0;
    *out = (uint8_t)ascii_lower((char)value);
    return 4;
}

struct writer {
    uint8_t wire[DNS_WIRE_MAX];
    size_t size;
    size_t label; /* where the open label's length byte is */
};

static int end_label(struct writer *w)
{
    size_t length = w->size - w->label - 1;

    /* Room for the root's empty label must stay. */
    if (length == 0 || length > DNS_LABEL_MAX || w->size >= DNS_WIRE_MAX)
        return -EINVAL;
    w->wire[w->label] = (uint8_t)length;
    w->label = w->size++;
    return 0;
}

int dns_name_from_text(struct span text, uint8_t out_wire[static DNS_WIRE_MAX], size_t *out_size)
{
    struct writer w = {.size = 1};
    uint8_t byte = 0;

    if (text.size == 0)
        return -EINVAL;
    if (span_equal(text, SPAN(".")))
        text.size = 0;
    while (text.size) {
        bool ends = text.data[0] == '.';
        size_t used = ends ? 1 : read_byte(text, &byte);
        if (used == 0 || (ends && end_label(&w) < 0))
            return -EINVAL;
        if (!ends && w.size >= DNS_WIRE_MAX)
            return -EINVAL;
        if (!ends)
            w.wire[w.size++] = byte;
        text = span_from(text, used);
    }
    if (w.size > w.label + 1 && end_label(&w) < 0)
        return -EINVAL;
    w.wire[w.label] = 0;
    memcpy(out_wire, w.wire, w.size);
    *out_size = w.size;
    return 0;
}

static size_t write_byte(char *out, uint8_t byte)
{
    if (byte == '.' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    if (byte <= ' ' || byte >= 127)
        return (size_t)snprintf(out, 5, "\\%03u", byte);
    out[0] = ascii_lower((char)byte);
    return 1;
}

int dns_name_to_text(struct span wire, char out_text[static DNS_TEXT_SIZE], size_t *out_used)
{
    const uint8_t *bytes = (const uint8_t *)wire.data;
    char text[DNS_TEXT_SIZE + 4];
    size_t at = 0, size = 0;

    for (;;) {
        /* A length over 63 would be a pointer: nothing is compressed here. */
        if (at >= wire.size || at >= DNS_WIRE_MAX || bytes[at] > DNS_LABEL_MAX)
            return -EINVAL;
        size_t end = at + 1 + bytes[at];
        if (end == at + 1)
            break;
        if (end > wire.size || end >= DNS_WIRE_MAX)
            return -EINVAL;
        if (size)
            text[size++] = '.';
        for (at++; at < end; at++)
            size += write_byte(text + size, bytes[at]);
    }
    if (size == 0)
        text[size++] = '.';
    text[size++] = '\0';
    memcpy(out_text, text, size);
    *out_used = at + 1;
    return 0;
}
