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

/* RFC 2045 6.7, read as a mail program will. */
static void decode(struct span in, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < in.size; i++) {
        if (in.data[i] != '=') {
            if (in.data[i] != '\r')
                buffer_append_byte(out, in.data[i]);
            continue;
        }
        assert_true(i + 2 < in.size);
        if (in.data[i + 1] != '\r') {
            const char *high = strchr(digits, in.data[i + 1]);
            const char *low = strchr(digits, in.data[i + 2]);
            assert_true(high && low);
            buffer_append_byte(out, (char)(16 * (high - digits) + (low - digits)));
        }
        i += 2;
    }
}

/* Every byte, at every place of a line: it comes back, and no line ends in a blank. */
static void what_is_decoded_is_what_was_written(void **state)
{
    char text[200];

    for (int byte = 1; byte < 256; byte++)
        for (size_t at = 60; at < 80; at++) {
            struct buffer out = BUFFER_INIT, again = BUFFER_INIT;
            memset(text, byte % 2 ? 'x' : ' ', sizeof(text));
            text[at] = text[at + 40] = text[sizeof(text) - 1] = (char)byte;
            assert_int_equal(quoted_printable_append(&out, span_of(text, sizeof(text))), 0);
            decode(buffer_span(&out), &again);
            if (byte != '\r') { /* of which only texts of strangers have some: shown as =0D */
                assert_int_equal(again.size, sizeof(text));
                assert_memory_equal(again.data, text, sizeof(text));
            }
            assert_true(out.data[out.size - 1] != ' '); /* an end of line may follow it */
            struct span rest = buffer_span(&out), line;
            while (span_next_line(&rest, &line)) {
                assert_true(line.size <= 77);
                if (line.size > 1 && line.data[line.size - 1] == '\r')
                    assert_true(line.data[line.size - 2] != ' ');
            }
            buffer_done(&out);
            buffer_done(&again);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_decoded_is_what_was_written),
                                       cmocka_unit_test(texts), cmocka_unit_test(long_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
