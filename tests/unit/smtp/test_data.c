#include "../unit.h"

#include "smtp/data.h"

#include <stdlib.h>

#define STR(text)                                                                                  \
    {                                                                                              \
        "" text, sizeof(text) - 1                                                                  \
    }

static const struct {
    const char *name;
    struct span in;
    const char *out; /* strict */
    enum smtp_data_fault fault;
    int64_t ends;           /* -1: not in this input, else how many bytes follow the end */
    const char *normalized; /* NULL: as `out` */
} cases[] = {
    {"plain", STR("a\r\nb\r\n.\r\n"), "a\r\nb\r\n", 0, 0},
    {"empty", STR(".\r\n"), "", 0, 0},
    {"rest", STR("a\r\n.\r\nQUIT\r\n"), "a\r\n", 0, 6},
    {"dots", STR("..\r\n...a\r\n.b\r\n.\r\n"), ".\r\n..a\r\nb\r\n", 0, 0},
    {"dot inside", STR("a.\r\n .\r\n.\r\n"), "a.\r\n .\r\n", 0, 0},
    {"8-bit", STR("\xff\xc3\r\n.\r\n"), "\xff\xc3\r\n", 0, 0},
    {"no end", STR("a\r\n."), "a\r\n", 0, -1},
    {"LF . LF", STR("a\n.\nb"), "a\n.\nb", SMTP_DATA_FAULT_BARE_LF, -1, "a\r\n.\r\nb"},
    {"LF . CRLF", STR("a\n.\r\nb"), "a\n.\r\nb", SMTP_DATA_FAULT_BARE_LF, -1, "a\r\n.\r\nb"},
    {"CRLF . LF", STR("a\r\n.\nb"), "a\r\n\nb", SMTP_DATA_FAULT_BARE_LF, -1, "a\r\n\r\nb"},
    {"CR . CR", STR("a\r.\rb"), "a\r.\rb", SMTP_DATA_FAULT_BARE_CR, -1, "a . b"},
    {"CR . CRLF", STR("a\r.\r\nb"), "a\r.\r\nb", SMTP_DATA_FAULT_BARE_CR, -1, "a .\r\nb"},
    {"CRLF . CR", STR("a\r\n.\rb"), "a\r\n\rb", SMTP_DATA_FAULT_BARE_CR, -1, "a\r\n b"},
    {"CRLF . CR CR LF", STR("a\r\n.\r\r\nb"), "a\r\n\r\r\nb", SMTP_DATA_FAULT_BARE_CR, -1,
     "a\r\n \r\nb"},
    {"CR CRLF . CRLF", STR("a\r\r\n.\r\n"), "a\r\r\n", SMTP_DATA_FAULT_BARE_CR, 0, "a \r\n"},
    {"CRLF LF . CRLF", STR("a\r\n\n.\r\nb"), "a\r\n\n.\r\nb", SMTP_DATA_FAULT_BARE_LF, -1,
     "a\r\n\r\n.\r\nb"},
    {"first LF . CRLF", STR("\n.\r\nb"), "\n.\r\nb", SMTP_DATA_FAULT_BARE_LF, -1, "\r\n.\r\nb"},
    {"CRLF . . LF . CRLF", STR("a\r\n..\n.\r\nb"), "a\r\n.\n.\r\nb", SMTP_DATA_FAULT_BARE_LF, -1,
     "a\r\n.\r\n.\r\nb"},
    {"LF CR . CRLF", STR("a\n\r.\r\nb"), "a\n\r.\r\nb", SMTP_DATA_FAULT_BARE_LF, -1,
     "a\r\n .\r\nb"},
};

static size_t decode(struct smtp_data *d, struct span in, size_t step, struct buffer *out)
{
    size_t at = 0;

    while (at < in.size && d->state != SMTP_DATA_END) {
        size_t before = out->size;
        struct span piece = span_first(span_from(in, at), step);
        size_t used = smtp_data_decode(d, piece, out);
        assert_true(used == piece.size || d->state == SMTP_DATA_END);
        assert_true(out->size - before <= smtp_data_growth(d, used));
        at += used;
    }
    return at;
}

static void check(size_t i, size_t step, bool normalize)
{
    const char *expected = normalize && cases[i].normalized ? cases[i].normalized : cases[i].out;
    struct buffer out = BUFFER_INIT;
    struct smtp_data d;

    smtp_data_init(&d, true, normalize, 1000);
    size_t used = decode(&d, cases[i].in, step, &out);
    if (!span_equal(buffer_span(&out), span_from_cstr(expected)))
        print_error("%s, step %zu\n", cases[i].name, step);
    assert_span(buffer_span(&out), expected);
    assert_int_equal(d.fault, normalize ? 0 : cases[i].fault);
    if (cases[i].ends < 0)
        assert_int_not_equal(d.state, SMTP_DATA_END);
    else
        assert_int_equal(cases[i].in.size - used, cases[i].ends);
    buffer_done(&out);
}

static void table_in_any_pieces(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t step = 1; step <= cases[i].in.size; step++) {
            check(i, step, false);
            check(i, step, true);
        }
}

static void nul(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct smtp_data d;

    smtp_data_init(&d, true, false, 1000);
    decode(&d, SPAN("a\0b\r\n.\0\r\n\0.\r\n"), 100, &out);
    assert_int_equal(d.fault, SMTP_DATA_FAULT_NUL);
    assert_int_not_equal(d.state, SMTP_DATA_END);
    buffer_done(&out);
}

static void where_the_fault_is(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct smtp_data d;

    smtp_data_init(&d, true, false, 1000);
    decode(&d, SPAN("1\r\n2\r\n3\r\nx\ny\r\nz\r\n"), 100, &out);
    assert_int_equal(d.line, 4);
    buffer_done(&out);
}

static void long_lines(void **state)
{
    static const size_t steps[] = {1, 7, 100000};
    char line[1003];

    memset(line, 'x', sizeof(line));
    memcpy(line + 1001, "\r\n", 2);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        for (size_t cut = 0; cut < 2; cut++) {
            struct buffer out = BUFFER_INIT;
            struct smtp_data d;
            smtp_data_init(&d, true, false, 1000);
            decode(&d, span_of(line + 1 - cut, 1002 + cut), steps[i], &out);
            assert_int_equal(d.fault, cut ? SMTP_DATA_FAULT_LONG_LINE : SMTP_DATA_FAULT_NONE);
            assert_int_equal(out.size, 1002 + cut);
            buffer_done(&out);
        }
}

/* Whatever a line is made of, its bytes count, and only its own. */
static void each_line_has_the_whole_limit(void **state)
{
    static const struct {
        struct span in; /* the limit is 4 */
        bool normalize;
        enum smtp_data_fault fault;
    } lines[] = {
        {STR("abcd\r\nabcd\r\nabcd\r\n"), false, SMTP_DATA_FAULT_NONE},
        {STR("abcd\r\n..bcd\r\nabcd\r\n..bcd\r\n.abcd\r\nabcd\r\n"), false, SMTP_DATA_FAULT_NONE},
        {STR("abcd\nabcd\nabcd\r\nabcd\n"), true, SMTP_DATA_FAULT_NONE},
        {STR("a\rb\r\r\n\r\r\rd\r\n"), true, SMTP_DATA_FAULT_NONE},
        {STR("\0a\0b\0c\0d\0\r\n"), true, SMTP_DATA_FAULT_NONE},
        {STR("abcde\r\n"), false, SMTP_DATA_FAULT_LONG_LINE},
        {STR("..bcde\r\n"), false, SMTP_DATA_FAULT_LONG_LINE},
        {STR(".abcde\r\n"), false, SMTP_DATA_FAULT_LONG_LINE},
        {STR("a\rb\rc\r\n"), true, SMTP_DATA_FAULT_LONG_LINE},
        {STR("\r\r\r\r\r\r\n"), true, SMTP_DATA_FAULT_LONG_LINE},
        {STR("a\0bcde\r\n"), true, SMTP_DATA_FAULT_LONG_LINE},
        {STR("abcd\r\nabcde\r\n"), false, SMTP_DATA_FAULT_LONG_LINE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        for (size_t step = 1; step <= lines[i].in.size; step++) {
            struct buffer out = BUFFER_INIT;
            struct smtp_data d;
            smtp_data_init(&d, true, lines[i].normalize, 4);
            decode(&d, lines[i].in, step, &out);
            if (d.fault != lines[i].fault)
                print_error("case %zu, step %zu\n", i, step);
            assert_int_equal(d.fault, lines[i].fault);
            buffer_done(&out);
        }
}

static void chunks_have_no_dots(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct smtp_data d;

    smtp_data_init(&d, false, false, 1000);
    decode(&d, SPAN(".\r\n..\r\na\r"), 3, &out);
    smtp_data_finish(&d, &out);
    assert_span(buffer_span(&out), ".\r\n..\r\na\r");
    assert_int_equal(d.fault, SMTP_DATA_FAULT_BARE_CR);
    buffer_done(&out);
}

/* Random text out of the bytes that matter: the whole and the pieces must agree, and stuffing what
 * came out must give it again. */
static void pieces_agree(void **state)
{
    static const char bytes[] = {'\r', '\n', '.', 'a', '\r', '\n'};
    unsigned seed = 1;

    for (int round = 0; round < 20000; round++) {
        char text[24];
        struct buffer whole = BUFFER_INIT, parts = BUFFER_INIT;
        struct smtp_data a, b;
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = bytes[rand_r(&seed) % sizeof(bytes)];
        smtp_data_init(&a, round & 1, round & 2, 1000);
        b = a;
        size_t used = decode(&a, span_of(text, sizeof(text)), sizeof(text), &whole);
        assert_int_equal(decode(&b, span_of(text, sizeof(text)), 1, &parts), used);
        assert_int_equal(a.state, b.state);
        assert_int_equal(a.fault, b.fault);
        assert_int_equal(a.line, b.line);
        assert_true(span_equal(buffer_span(&whole), buffer_span(&parts)));
        buffer_done(&whole);
        buffer_done(&parts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_in_any_pieces),
                                       cmocka_unit_test(nul),
                                       cmocka_unit_test(where_the_fault_is),
                                       cmocka_unit_test(long_lines),
                                       cmocka_unit_test(each_line_has_the_whole_limit),
                                       cmocka_unit_test(chunks_have_no_dots),
                                       cmocka_unit_test(pieces_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
