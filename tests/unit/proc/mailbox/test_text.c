#include "../../unit.h"

#include "proc/mailbox/text.h"
#include <stdio.h>

/* Feeds in pieces of `step` bytes. */
static void convert(struct span in, size_t step, struct buffer *out, uint64_t *out_ended)
{
    struct text_lines t = {0};
    for (size_t at = 0; at < in.size; at += step)
        text_lines_feed(&t, span_first(span_from(in, at), step), out);
    text_lines_finish(&t, out);
    *out_ended = t.ended;
}

static void line_ends(void **state)
{
    static const struct {
        struct span in, out;
        unsigned ended;
    } cases[] = {
        {SPAN(""), SPAN(""), 0},
        {SPAN("a\r\nb\r\n"), SPAN("a\nb\n"), 2},
        {SPAN("\r\n\r\n"), SPAN("\n\n"), 2},
        {SPAN("no end"), SPAN("no end"), 0},
        {SPAN("bare\rcr\r\r\n\r"), SPAN("bare\rcr\r\n\r"), 1},
        {SPAN("bare\nlf\r\n"), SPAN("bare\nlf\n"), 1},
        {SPAN("nul\0 and \xff 8 bit\r\n"), SPAN("nul\0 and \xff 8 bit\n"), 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t step = 1; step <= cases[i].in.size + 1; step++) {
            struct buffer out = BUFFER_INIT;
            uint64_t ended;
            convert(cases[i].in, step, &out, &ended);
            assert_int_equal(ended, cases[i].ended);
            assert_true(span_equal(buffer_span(&out), cases[i].out));
            buffer_done(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
