/* Conversion to 7-bit MIME: what comes out is 7-bit with whole lines, however the input is cut;
 * what is refused is refused however it is cut. */
#include "fuzz.h"

#include "mail/seven_bit.h"

static int convert(struct span in, size_t piece, struct buffer *out)
{
    struct seven_bit *s = seven_bit_new();
    int r = 0;

    assert(s);
    for (size_t at = 0; r == 0 && at < in.size; at += piece)
        r = seven_bit_feed(s, span_first(span_from(in, at), piece), out);
    if (r == 0)
        r = seven_bit_end(s, out);
    seven_bit_free(s);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = BUFFER_INIT, bytes = BUFFER_INIT;
    struct span in = span_of(data, size);
    int r = convert(in, size + 1, &whole);

    assert(convert(in, 1, &bytes) == r);
    if (r == 0) {
        assert(span_equal(buffer_span(&whole), buffer_span(&bytes)));
        for (size_t i = 0; i < whole.size; i++)
            assert((unsigned char)whole.data[i] < 128);
        assert(whole.size == 0 || whole.data[whole.size - 1] == '\n');
    }
    buffer_done(&whole);
    buffer_done(&bytes);
    return 0;
}
