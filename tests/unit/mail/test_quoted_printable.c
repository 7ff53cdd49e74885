#include "../unit.h"

#include "mail/quoted_printable.h"

static void texts(void **state)
{
    static const struct {
        const char *text, *encoded;
    } cases[] = {
        {"", ""},
        {"plain text\n", "plain text\r\n"},
        {"a=b\n", "a=3Db\r\n"},
        {"blank at the end \nand\tinside\n", "blank at the end=20\r\nand\tinside\r\n"},
        {"gr\xc3\xbc\xc3\x9f\x65\n", "gr=C3=BC=C3=9Fe\r\n"},
        {"\x1b[31m\n", "=1B[31m\r\n"},
        {"no line end", "no line end"},
        {"ends in a blank ", "ends in a blank=20"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        assert_int_equal(quoted_printable_append(&out, span_from_cstr(cases[i].text)), 0);
        assert_span(buffer_span(&out), cases[i].encoded);
        buffer_done(&out);
    }
}

/* No line is longer than 76, whatever stands at the fold. */
static void long_lines(void **state)
{
    char text[400];

    for (size_t eight_bit_at = 60; eight_bit_at < 90; eight_bit_at++) {
        struct buffer out = BUFFER_INIT;
        memset(text, 'x', sizeof(text));
        text[eight_bit_at] = (char)0xe4;
        assert_int_equal(quoted_printable_append(&out, span_of(text, sizeof(text))), 0);
        size_t column = 0;
        for (size_t i = 0; i < out.size; i++) {
            column = out.data[i] == '\n' ? 0 : column + (out.data[i] != '\r');
            assert_true(column <= 76);
        }
        buffer_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(long_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
