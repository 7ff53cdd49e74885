/* The parameters of RFC 3461: what is taken is harmless in a command and in a field, and reads the
 * same when written again. */
#include "fuzz.h"

#include "mail/dsn.h"

static void check_printable(const struct buffer *b, bool ascii)
{
    for (size_t i = 0; i < b->size; i++) {
        unsigned char c = (unsigned char)b->data[i];
        assert(c >= ' ' && c != 0x7f && (!ascii || c < 0x7f));
    }
}

static void check_notify(struct span value)
{
    char text[DSN_NOTIFY_TEXT];
    uint8_t notify, again;

    if (dsn_parse_notify(value, &notify) < 0)
        return;
    dsn_format_notify(notify, text);
    assert(dsn_parse_notify(span_from_cstr(text), &again) == 0 && again == notify);
}

static void check_envelope_id(struct span value)
{
    struct buffer text = BUFFER_INIT, again = BUFFER_INIT, twice = BUFFER_INIT;

    if (dsn_is_envelope_id(value)) {
        assert(dsn_xtext_decode(value, &text) == 0);
        check_printable(&text, true);
        assert(dsn_xtext_encode(buffer_span(&text), &again) == 0);
        assert(dsn_xtext_decode(buffer_span(&again), &twice) == 0);
        assert(span_equal(buffer_span(&text), buffer_span(&twice)));
    }
    buffer_done(&text);
    buffer_done(&again);
    buffer_done(&twice);
}

static void check_original(struct span value)
{
    struct buffer text = BUFFER_INIT;

    if (dsn_is_original(value, true)) {
        assert(dsn_original_decode(value, &text) == 0);
        check_printable(&text, false);
        buffer_clear(&text);
        assert(dsn_original_ascii(value, &text) == 0);
        check_printable(&text, true);
        assert(text.size > ENVELOPE_ORCPT_MAX || dsn_is_original(buffer_span(&text), false));
    }
    buffer_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span value = span_of(data, size);
    uint8_t returned;

    check_notify(value);
    check_envelope_id(value);
    check_original(value);
    dsn_parse_return(value, &returned);
    return 0;
}
