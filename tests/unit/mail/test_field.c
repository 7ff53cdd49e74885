#include "../unit.h"

#include "mail/field.h"

static void fields(void **state)
{
    struct span rest = SPAN("To: a,\r\n\tb\r\nSubject : x\n\r\nBody: no\r\n");
    struct field f;

    assert_true(field_next(&rest, &f));
    assert_span(f.name, "To");
    assert_span(f.value, " a,\r\n\tb\r\n");
    assert_span(f.whole, "To: a,\r\n\tb\r\n");
    assert_true(field_next(&rest, &f));
    assert_true(field_is(&f, "SUBJECT"));
    assert_false(field_is(&f, "Subjects"));
    assert_span(f.value, " x\n");
    assert_false(field_next(&rest, &f));
    assert_span(rest, "\r\nBody: no\r\n");
}

static void ends(void **state)
{
    static const struct {
        const char *text;
        int count;
        const char *rest;
    } cases[] = {
        {"", 0, ""},
        {"no colon here\r\n", 0, "no colon here\r\n"},
        {" starts folded: x\r\n", 0, " starts folded: x\r\n"},
        {": no name\r\n", 0, ": no name\r\n"},
        {"two words: x\r\n", 0, "two words: x\r\n"},
        {"N\xc3\xa4me: x\r\n", 0, "N\xc3\xa4me: x\r\n"},
        {"A\x7f: x\r\n", 0, "A\x7f: x\r\n"},
        {"\x7f: x\r\n", 0, "\x7f: x\r\n"},
        {"A \t: x\r\n", 1, ""},
        {"!~: x\r\n", 1, ""},
        {"A", 0, "A"},
        {"A ", 0, "A "},
        {"A\r\n: x\r\n", 0, "A\r\n: x\r\n"},
        {":", 0, ":"},
        {"\n", 0, "\n"},
        {"A::\r\n", 1, ""},
        {"A:1\r\n\tB: 2\r\n C: 3\r\nD: 4", 2, ""},
        {"A:1", 1, ""},
        {"A:1\n \n", 1, ""},
        {"A:\n\nB:2\n", 1, "\nB:2\n"},
        {"A:\nB:2\nbody\n", 2, "body\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span rest = span_from_cstr(cases[i].text);
        struct field f;
        int count = 0;
        while (field_next(&rest, &f))
            count++;
        assert_int_equal(count, cases[i].count);
        assert_span(rest, cases[i].rest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields), cmocka_unit_test(ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
