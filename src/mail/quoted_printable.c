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

/* What is literal from `from` on. */
static void append_literal(struct buffer *out, struct span text, size_t *from, size_t at)
{
    if (at > *from)
        buffer_append(out, text.data + *from, at - *from);
    *from = at;
}

int quoted_printable_append(struct buffer *out, struct span text)
{
    size_t column = 0, from = 0;

    for (size_t at = 0; at < text.size; at++) {
        unsigned char c = (unsigned char)text.data[at];
        size_t width = is_literal(text, at) ? 1 : 3;
        bool ends_line = c == '\n' || column + width > LINE_MAX_CHARACTERS - 1;
        if (ends_line) {
            append_literal(out, text, &from, at);
            buffer_append_span(out, c == '\n' ? SPAN("\r\n") : SPAN("=\r\n"));
            column = 0;
        }
        if (width > 1) {
            append_literal(out, text, &from, at);
            from++;
        }
        if (width > 1 && c != '\n') {
            buffer_append_byte(out, '=');
            buffer_append_hex(out, c, 'A');
        }
        column += c == '\n' ? 0 : width;
    }
    append_literal(out, text, &from, text.size);
    return buffer_error(out);
}
