#include "../unit.h"

#include "base/printable.h"

static void escapes(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *shown;
    } cases[] = {
        {"plain text", 10, "plain text"},
        {"", 0, ""},
        {"a\\b", 3, "a\\b"},
        {"a\r\nb\tc", 6, "a\\x0d\\x0ab\\x09c"},
        {"\x1b[2J", 4, "\\x1b[2J"},
        {"nul\0here", 8, "nul\\x00here"},
        {"\x7f", 1, "\\x7f"},
        {"Gr\xc3\xbc\xc3\x9f"
         "e",
         7,
         "Gr\xc3\xbc\xc3\x9f"
         "e"},
        {"\xf0\x9f\x93\xae", 4, "\xf0\x9f\x93\xae"},
        {"C1 \xc2\x9b"
         "2J",
         7, "C1 \\xc2\\x9b2J"},
        {"\xe2\x80\xae"
         "evil",
         7, "\\xe2\\x80\\xaeevil"},
        {"\xe2\x81\xa6", 3, "\\xe2\\x81\\xa6"},
        {"overlong \xc0\xaf", 11, "overlong \\xc0\\xaf"},
        {"overlong \xe0\x80\xaf", 12, "overlong \\xe0\\x80\\xaf"},
        {"surrogate \xed\xa0\x80", 13, "surrogate \\xed\\xa0\\x80"},
        {"too high \xf4\x90\x80\x80", 13, "too high \\xf4\\x90\\x80\\x80"},
        {"cut \xe2\x82", 6, "cut \\xe2\\x82"},
        {"stray \x80", 7, "stray \\x80"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer b = BUFFER_INIT;
        assert_int_equal(printable_append(&b, span_of(cases[i].text, cases[i].size)), 0);
        assert_span(buffer_span(&b), cases[i].shown);
        buffer_done(&b);
    }
}

static void plain_text_is_measured(void **state)
{
    assert_int_equal(printable_plain_size(SPAN("")), 0);
    assert_int_equal(printable_plain_size(SPAN(" ~a")), 3);
    assert_int_equal(printable_plain_size(SPAN("ab\x7f")), 2);
    assert_int_equal(printable_plain_size(SPAN("a\x1f")), 1);
    assert_int_equal(printable_plain_size(SPAN("\xc3\xbc")), 0);
}

static void limit_is_reported(void **state)
{
    struct buffer b = BUFFER_LIMITED(4);
    assert_true(printable_append(&b, SPAN("abc\n")) < 0);
    assert_span(buffer_span(&b), "abc");
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(escapes),
                                       cmocka_unit_test(plain_text_is_measured),
                                       cmocka_unit_test(limit_is_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
