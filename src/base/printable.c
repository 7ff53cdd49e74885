/*
 * RFC 3629 decoding that accepts only what it would write itself, and a list of what is well-formed
 * but may not reach a terminal. Never a table of all that is printable: that changes with each
 * Unicode version, while these few are dangerous in all of them.
 */
#include "base/printable.h"

/* Length of the sequence that `lead` opens, 0 when it opens none (RFC 3629 section 3). */
static size_t sequence_size(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

static bool is_harmless(uint32_t point, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return false;
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f))
        return false;
    /* Zero-width and direction marks, separators, embeddings, overrides, isolates, the BOM. */
    return !(point >= 0x200b && point <= 0x200f) && !(point >= 0x2028 && point <= 0x202e) &&
           !(point >= 0x2060 && point <= 0x206f) && point != 0x061c && point != 0xfeff;
}

size_t printable_char_size(struct span s)
{
    size_t size = s.size ? sequence_size((unsigned char)s.data[0]) : 0;

    if (size == 0 || size > s.size)
        return 0;
    uint32_t point = (unsigned char)s.data[0];
    if (size > 1)
        point &= 0x7fu >> size;
    for (size_t i = 1; i < size; i++) {
        unsigned char next = (unsigned char)s.data[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (next & 0x3f);
    }
    return is_harmless(point, size) ? size : 0;
}

size_t printable_plain_size(struct span s)
{
    size_t size = 0;

    while (size < s.size && s.data[size] >= 0x20 && s.data[size] < 0x7f)
        size++;
    return size;
}

int printable_append(struct buffer *b, struct span s)
{
    while (s.size) {
        size_t size = printable_plain_size(s);
        if (size == 0)
            size = printable_char_size(s);
        if (size) {
            buffer_append(b, s.data, size);
        } else {
            buffer_append_span(b, SPAN("\\x"));
            buffer_append_hex(b, (unsigned char)s.data[0], 'a');
        }
        s = span_from(s, size ? size : 1);
    }
    return buffer_error(b);
}
