/* Message data: cut anywhere it decodes the same; without a fault nothing but CRLF ends a line; and
 * stuffed again it decodes to itself, with only the true end ending it. The first byte chooses. */
#include "fuzz.h"

#include "smtp/data.h"

static void check_clean(struct span out)
{
    for (size_t i = 0; i < out.size; i++) {
        assert(out.data[i] != '\0');
        if (out.data[i] == '\n')
            assert(i > 0 && out.data[i - 1] == '\r');
        if (out.data[i] == '\r' && i + 1 < out.size)
            assert(out.data[i + 1] == '\n');
    }
}

static void check_round_trip(struct span out)
{
    struct buffer wire = BUFFER_INIT, again = BUFFER_INIT;
    struct smtp_data d;
    bool start = true;

    for (size_t i = 0; i < out.size; i++) {
        if (start && out.data[i] == '.')
            buffer_append_byte(&wire, '.');
        buffer_append_byte(&wire, out.data[i]);
        start = out.data[i] == '\n';
    }
    buffer_append_span(&wire, SPAN(".\r\n"));
    smtp_data_init(&d, true, false, SIZE_MAX);
    assert(smtp_data_decode(&d, buffer_span(&wire), &again) == wire.size);
    assert(d.state == SMTP_DATA_END && d.fault == SMTP_DATA_FAULT_NONE);
    assert(span_equal(buffer_span(&again), out));
    buffer_done(&wire);
    buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = BUFFER_INIT, bytes = BUFFER_INIT;
    struct smtp_data a, b;
    size_t at = 0;

    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    smtp_data_init(&a, data[0] & 1, data[0] & 2, 1000);
    b = a;
    size_t used = smtp_data_decode(&a, in, &whole);
    while (at < in.size && b.state != SMTP_DATA_END)
        at += smtp_data_decode(&b, span_first(span_from(in, at), 1), &bytes);
    assert(at == used && a.state == b.state && a.fault == b.fault && a.line == b.line);
    assert(span_equal(buffer_span(&whole), buffer_span(&bytes)));
    assert(whole.size <= smtp_data_growth(&a, used));
    if (a.fault == SMTP_DATA_FAULT_NONE)
        check_clean(buffer_span(&whole));
    if (a.fault == SMTP_DATA_FAULT_NONE && a.state == SMTP_DATA_END)
        check_round_trip(buffer_span(&whole));
    buffer_done(&whole);
    buffer_done(&bytes);
    return 0;
}
