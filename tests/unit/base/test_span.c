#include "../unit.h"

#include <errno.h>

static void numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 10, 0, 0},
        {"10", 10, 0, 10},
        {"11", 10, -ERANGE, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999", UINT64_MAX, -ERANGE, 0},
        {"", 10, -EINVAL, 0},
        {"-1", 10, -EINVAL, 0},
        {"+1", 10, -EINVAL, 0},
        {"1 ", 10, -EINVAL, 0},
        {"0x1", 10, -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t out = 77;
        assert_int_equal(span_to_u64(span_from_cstr(cases[i].text), cases[i].max, &out),
                         cases[i].result);
        assert_true(out == (cases[i].result ? 77 : cases[i].value));
    }
}

static void pieces(void **state)
{
    struct span s = SPAN("  a=b=c\t");
    assert_span(span_trim(s), "a=b=c");
    assert_int_equal(span_find(s, '='), 3);
    assert_int_equal(span_find_last(s, '='), 5);
    assert_int_equal(span_find(s, 'x'), -1);
    assert_int_equal(span_find(SPAN(""), 'x'), -1);
    assert_span(span_from(s, 7), "\t");
    assert_int_equal(span_from(s, 99).size, 0);
    assert_true(span_equal_nocase(SPAN("AbC"), SPAN("aBc")));
    assert_false(span_equal_nocase(SPAN("AbC"), SPAN("aBcd")));
    assert_true(span_starts_nocase(SPAN("MAIL FROM:"), SPAN("mail")));
}

static void ascii(void **state)
{
    assert_true(span_is_ascii(SPAN("")));
    assert_true(span_is_ascii(SPAN("\0a\x7f")));
    assert_false(span_is_ascii(SPAN("a\x80")));
    assert_false(span_is_ascii(SPAN("\xff"
                                    "a")));
}

static void next_line(void **state)
{
    static const char *const wanted[] = {"one", "", "two\r", "last"};
    struct span rest = SPAN("one\n\ntwo\r\nlast"), line;

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        assert_true(span_next_line(&rest, &line));
        assert_true(span_equal(line, span_from_cstr(wanted[i])));
    }
    assert_false(span_next_line(&rest, &line));
    rest = SPAN("\n");
    assert_true(span_next_line(&rest, &line));
    assert_int_equal(line.size, 0);
    assert_false(span_next_line(&rest, &line));
}

static void compares_by_bytes(void **state)
{
    static const struct span sorted[] = {SPAN(""),   SPAN("A"), SPAN("a"),   SPAN("a\0"),
                                         SPAN("ab"), SPAN("b"), SPAN("\xff")};
    const int count = ARRAY_SIZE(sorted);

    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            int order = span_compare(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    assert_int_equal(span_compare((struct span){0}, (struct span){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(compares_by_bytes),
                                       cmocka_unit_test(numbers), cmocka_unit_test(pieces),
                                       cmocka_unit_test(ascii), cmocka_unit_test(next_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
