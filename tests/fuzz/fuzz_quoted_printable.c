/* Quoted-printable: lines of printable ASCII that are short enough and don't end in a blank, and a
 * decoder that knows only RFC 2045 finds the text in them again. */
#include "fuzz.h"

#include "mail/quoted_printable.h"

static int hex(char c)
{
    const char *digits = "0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static void decode(struct span in, struct buffer *out)
{
    for (size_t i = 0; i < in.size; i++) {
        bool escape = in.data[i] == '=';
        assert(!escape || i + 2 < in.size);
        if (escape && in.data[i + 1] == '\r') {
            assert(in.data[i + 2] == '\n');
        } else if (escape) {
            assert(hex(in.data[i + 1]) >= 0 && hex(in.data[i + 2]) >= 0);
            buffer_append_byte(out, (char)(hex(in.data[i + 1]) * 16 + hex(in.data[i + 2])));
        } else if (in.data[i] != '\r') {
            buffer_append_byte(out, in.data[i]);
        }
        i += escape ? 2 : 0;
    }
}

static void check_lines(struct span out)
{
    size_t column = 0;

    for (size_t i = 0; i < out.size; i++) {
        char c = out.data[i];
        assert(c == '\r' || c == '\n' || c == '\t' || (c >= ' ' && c < 127));
        assert(c != '\r' || (i + 1 < out.size && out.data[i + 1] == '\n'));
        assert(c != '\n' || out.data[i - 1] == '\r');
        assert(c != '\r' || i == 0 || (out.data[i - 1] != ' ' && out.data[i - 1] != '\t'));
        column = c == '\n' ? 0 : column + (c != '\r');
        assert(column <= 76);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out = BUFFER_INIT, again = BUFFER_INIT;

    assert(quoted_printable_append(&out, span_of(data, size)) == 0);
    check_lines(buffer_span(&out));
    decode(buffer_span(&out), &again);
    assert(span_equal(buffer_span(&again), span_of(data, size)));
    buffer_done(&out);
    buffer_done(&again);
    return 0;
}
