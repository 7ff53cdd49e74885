/* sendmail's input: fed whole or byte by byte it gives the same lines; no line holds a bare CR or
 * LF; and no recipient found in a header could break out of an SMTP command. */
#include "fuzz.h"

#include "mail/compose.h"

static void lines_of(struct span text, bool dot_ends, size_t step, struct buffer *out)
{
    struct compose_lines c = {.dot_ends = dot_ends};

    while (text.size) {
        assert(compose_lines_feed(&c, span_first(text, step), out) == 0);
        text = span_from(text, step);
    }
    assert(compose_lines_end(&c, out) == 0);
}

static void check_line_ends(struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        assert(s.data[i] != '\n' || (i > 0 && s.data[i - 1] == '\r'));
        assert(s.data[i] != '\r' || (i + 1 < s.size && s.data[i + 1] == '\n'));
    }
}

static void check_recipients(const struct composed *c)
{
    for (size_t i = 0; i < c->recipient_count; i++) {
        assert(span_find(c->recipients[i], '@') > 0);
        for (size_t k = 0; k < c->recipients[i].size; k++)
            assert((unsigned char)c->recipients[i].data[k] >= ' ');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT;
    struct composed c;

    for (int dot_ends = 0; dot_ends < 2; dot_ends++) {
        buffer_clear(&whole);
        buffer_clear(&pieces);
        lines_of(text, dot_ends, size ? size : 1, &whole);
        lines_of(text, dot_ends, 1, &pieces);
        assert(span_equal(buffer_span(&whole), buffer_span(&pieces)));
        check_line_ends(buffer_span(&whole));
    }
    struct compose_input in = {.lines = buffer_span(&whole),
                               .sender = SPAN("a@b"),
                               .origin = SPAN("b"),
                               .message_id = SPAN("i@b"),
                               .extract = true};
    compose_init(&c);
    if (compose_message(&c, &in) == 0)
        check_line_ends(buffer_span(&c.message));
    check_recipients(&c);
    compose_done(&c);
    buffer_done(&whole);
    buffer_done(&pieces);
    return 0;
}
