#include "mail/quoted_printable.h"

/* RFC 2045 6.7 (5). A soft line break's "=" takes the last place. */
enum { LINE_MAX_CHARACTERS = 76 };

/* RFC 2045 6.7 (1) to (3). A blank at the end of a line would get lost on the way. */
static bool is_literal(struct span text, size_t at)
{
    unsigned char c = (unsigned char)text.data[at];
    bool ends_line = at + 1 == text.size || text.data[at + 1] == '\n';

    if (c == ' ' || c == '\t')
        return !ends_line;
    return c > ' ' && c < 0x7f && c != '=';
}

int quoted_printable_append(struct buffer *out, struct span text)
{
    size_t column = 0;

    for (size_t at = 0; at < text.size; at++) {
        unsigned char c = (unsigned char)text.data[at];
        if (c == '\n') {
            buffer_append_span(out, SPAN("\r\n"));
            column = 0;
            continue;
        }
        size_t width = is_literal(text, at) ? 1 : 3;
        if (column + width > LINE_MAX_CHARACTERS - 1) {
            buffer_append_span(out, SPAN("=\r\n"));
            column = 0;
        }
        buffer_append_byte(out, width == 1 ? (char)c : '=');
        if (width > 1)
            buffer_append_hex(out, c, 'A');
        column += width;
    }
    return buffer_error(out);
}
