#include "mail/display_name.h"

#include "base/printable.h"

/* RFC 2047 section 2: at most 75 characters an encoded word. */
#define WORD_START "=?utf-8?Q?"
enum { WORD_TEXT_MAX = 75 - (int)sizeof(WORD_START "?=") + 1 };

/* RFC 5322 3.2.3, and the blank that divides atoms. */
static bool is_atom(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(" !#$%&'*+-/=?^_`{|}~", c));
}

static void write_quoted(struct span name, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"' || name.data[i] == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, printable_char_size(span_from(name, i)) ? name.data[i] : ' ');
    }
    buffer_append_byte(out, '"');
}

/* RFC 2047 4.2 and 5 (3): in a phrase only letters, digits and !*+-/ stand for themselves. */
static size_t encode_char(struct span c, char out[static 13])
{
    unsigned char byte = (unsigned char)c.data[0];
    size_t size = 0;

    if (c.size == 1 && (byte == ' ' || byte < 0x20)) {
        out[size++] = '_';
    } else if (is_atom(byte) && !strchr("#$%&'=?^_`{|}~", byte)) {
        out[size++] = (char)byte;
    } else {
        for (size_t i = 0; i < c.size; i++) {
            out[size++] = '=';
            out[size++] = "0123456789ABCDEF"[(unsigned char)c.data[i] >> 4];
            out[size++] = "0123456789ABCDEF"[(unsigned char)c.data[i] & 15];
        }
    }
    return size;
}

static void write_encoded(struct span name, struct buffer *out)
{
    size_t used = 0;

    buffer_append_span(out, SPAN(WORD_START));
    while (name.size) {
        char text[13];
        size_t step = printable_char_size(name), size;
        struct span one = span_first(name, step ? step : 1);

        size = step ? encode_char(one, text) : encode_char(SPAN(" "), text);
        if (used + size > WORD_TEXT_MAX) { /* a character never spans two words (RFC 2047 5) */
            buffer_append_span(out, SPAN("?=\r\n " WORD_START));
            used = 0;
        }
        buffer_append(out, text, size);
        used += size;
        name = span_from(name, one.size);
    }
    buffer_append_span(out, SPAN("?="));
}

/* The plainest form that is legal: most names are atoms and blanks. */
int display_name_write(struct span name, struct buffer *out)
{
    bool atoms = true, ascii = true;

    for (size_t i = 0; i < name.size; i++) {
        atoms &= is_atom((unsigned char)name.data[i]);
        ascii &= (unsigned char)name.data[i] < 0x80;
    }
    if (!ascii)
        write_encoded(name, out);
    else if (!atoms)
        write_quoted(name, out);
    else
        buffer_append_span(out, name);
    return buffer_error(out);
}
