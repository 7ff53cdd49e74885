/* Line ends and loop marks: the pieces that the bytes come in make no difference. The first byte is
 * the size of a piece. */
#include "fuzz.h"

#include "mail/loop.h"
#include "proc/mailbox/text.h"

static void convert(struct span in, size_t step, struct buffer *out)
{
    struct text_lines lines = {0};

    for (size_t at = 0; at < in.size; at += step)
        text_lines_feed(&lines, span_first(span_from(in, at), step), out);
    text_lines_finish(&lines, out);
    assert(out->size + lines.ended == in.size);
}

static bool loops(struct span in, size_t step)
{
    struct mail_loop loop = MAIL_LOOP_INIT;

    for (size_t at = 0; at < in.size; at += step)
        mail_loop_feed(&loop, span_first(span_from(in, at), step));
    bool found = mail_loop_has(&loop, SPAN("bob@a.test"));
    mail_loop_done(&loop);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    size_t step = data[0] ? data[0] : 1;
    struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT;

    convert(in, in.size, &whole);
    convert(in, step, &pieces);
    assert(span_equal(buffer_span(&whole), buffer_span(&pieces)));
    assert(loops(in, in.size) == loops(in, step));
    buffer_done(&whole);
    buffer_done(&pieces);
    return 0;
}
