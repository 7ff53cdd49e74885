/* Strangers' text for a terminal, a log or a report: what comes out is harmless, well-formed UTF-8,
 * and a fixed point. */
#include "fuzz.h"

#include "base/printable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out = BUFFER_INIT, again = BUFFER_INIT;

    assert(printable_append(&out, span_of(data, size)) == 0);
    struct span rest = buffer_span(&out);
    while (rest.size) {
        size_t step = printable_char_size(rest);
        unsigned char c = (unsigned char)rest.data[0];
        assert(step > 0 && step <= 4 && c >= ' ' && c != 127 && (step > 1) == (c > 127));
        rest = span_from(rest, step);
    }
    assert(out.size >= size && out.size <= 4 * size);
    assert(printable_append(&again, buffer_span(&out)) == 0);
    assert(span_equal(buffer_span(&out), buffer_span(&again)));
    buffer_done(&out);
    buffer_done(&again);
    return 0;
}
