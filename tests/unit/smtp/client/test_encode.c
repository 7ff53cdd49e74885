#include "../../unit.h"

#include "smtp/client/encode.h"

static void lines(void **state)
{
    static const struct {
        const char *in, *data, *chunk;
    } cases[] = {
        {"", "", ""},
        {"a", "a\r\n", "a\r\n"},
        {"a\r\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n"},
        {".", "..\r\n", ".\r\n"},
        {".\r\n..\r\na.\r\n", "..\r\n...\r\na.\r\n", ".\r\n..\r\na.\r\n"},
        {"a\n.\nb", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"},
        {"a\r.\rb\r\n", "a . b\r\n", "a . b\r\n"},
        {"a\r\r\n.\r\n", "a \r\n..\r\n", "a \r\n.\r\n"},
        {"\r", "\r\n", "\r\n"},
        {"\n\n", "\r\n\r\n", "\r\n\r\n"},
        {"\r.\r\n", " .\r\n", " .\r\n"},
        {"a\n\r.\r\nx", "a\r\n .\r\nx\r\n", "a\r\n .\r\nx\r\n"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (int dots = 0; dots < 2; dots++)
            for (size_t piece = 1; piece < 20; piece++) {
                struct span in = span_from_cstr(cases[i].in);
                struct buffer out = BUFFER_INIT;
                struct smtp_encode e;
                smtp_encode_init(&e, dots);
                for (size_t at = 0; at < in.size; at += piece)
                    smtp_encode_feed(&e, span_first(span_from(in, at), piece), &out);
                smtp_encode_end(&e, &out);
                assert_span(buffer_span(&out), dots ? cases[i].data : cases[i].chunk);
                buffer_done(&out);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
