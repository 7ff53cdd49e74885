/* Message data on its way out. Whatever goes in, in any pieces: nothing but CRLF ends a line, no
 * receiver, however lax about line ends, finds an end of data before ours, and one that keeps to
 * the rules gets back what went in, with its line ends mended. The first byte chooses. */
#include "fuzz.h"

#include "smtp/client/encode.h"
#include "smtp/data.h"

static void encode(struct span in, bool dots, size_t piece, struct buffer *out)
{
    struct smtp_encode e;

    smtp_encode_init(&e, dots);
    for (size_t at = 0; at < in.size; at += piece)
        smtp_encode_feed(&e, span_first(span_from(in, at), piece), out);
    smtp_encode_end(&e, out);
}

/* What must arrive: LF becomes CRLF, a CR alone a blank (at the very end a line's end). */
static void mend(struct span in, struct buffer *out)
{
    for (size_t i = 0; i < in.size; i++) {
        bool before_lf = i + 1 < in.size && in.data[i + 1] == '\n';
        if (in.data[i] == '\n' || (in.data[i] == '\r' && i + 1 == in.size))
            buffer_append_span(out, SPAN("\r\n"));
        else if (in.data[i] != '\r')
            buffer_append_byte(out, in.data[i]);
        else if (!before_lf)
            buffer_append_byte(out, ' ');
    }
    if (out->size && out->data[out->size - 1] != '\n')
        buffer_append_span(out, SPAN("\r\n"));
}

static bool is_end(char c)
{
    return c == '\r' || c == '\n';
}

static void check_wire(struct span out, bool dots)
{
    for (size_t i = 0; i < out.size; i++) {
        assert(out.data[i] != '\n' || (i > 0 && out.data[i - 1] == '\r'));
        assert(out.data[i] != '\r' || (i + 1 < out.size && out.data[i + 1] == '\n'));
        if (dots && out.data[i] == '.' && (i == 0 || is_end(out.data[i - 1])))
            assert(i + 1 < out.size && !is_end(out.data[i + 1]));
    }
}

static void check_arrival(struct span in, struct buffer *wire)
{
    struct buffer got = BUFFER_INIT, wanted = BUFFER_INIT;
    struct smtp_data d;

    mend(in, &wanted);
    buffer_append_span(wire, SPAN(".\r\n"));
    smtp_data_init(&d, true, false, SIZE_MAX);
    assert(smtp_data_decode(&d, buffer_span(wire), &got) == wire->size);
    assert(d.state == SMTP_DATA_END);
    assert(d.fault == SMTP_DATA_FAULT_NONE || span_find(in, '\0') >= 0);
    assert(d.fault || span_equal(buffer_span(&got), buffer_span(&wanted)));
    buffer_done(&got);
    buffer_done(&wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT;

    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    bool dots = data[0] & 1;
    encode(in, dots, in.size + 1, &whole);
    encode(in, dots, 1 + data[0] / 2, &pieces);
    assert(span_equal(buffer_span(&whole), buffer_span(&pieces)));
    check_wire(buffer_span(&whole), dots);
    if (dots)
        check_arrival(in, &whole);
    buffer_done(&whole);
    buffer_done(&pieces);
    return 0;
}
