#include "../unit.h"

#include "people/lines.h"
#include "people/users.h"
#include <errno.h>

static void lines(void **state)
{
    static const struct {
        const char *name, *line, *address, *why;
        int result;
        size_t at;
    } cases[] = {
        {"no login", "anna@a.test:*:", "anna@a.test", NULL, 0, 0},
        {"no second colon", "anna@a.test:*", "anna@a.test", NULL, 0, 0},
        {"hash", "Anna@A.Test:$y$j9T$salt$hash./x:", "Anna@a.test", NULL, 0, 0},
        {"two verifiers", "anna@a.test:$6$s$h,{SCRAM-SHA-256}4096:", "anna@a.test", "{", 0, 0},
        {"senders", "anna@a.test:*:info@a.test, sales@a.test", "anna@a.test", NULL, 0, 0},
        {"blanks", "  anna@a.test : * : ", "anna@a.test", NULL, 0, 0},
        {"UTF-8", "m\xc3\xbcller@a.test:*:", "m\xc3\xbcller@a.test", NULL, 0, 0},
        {"quoted", "\"an na\"@a.test:*:", "\"an na\"@a.test", NULL, 0, 0},
        {"blank", "", NULL, NULL, 1, 0},
        {"comment", " # anna@a.test", NULL, NULL, 1, 0},
        {"no colon", "anna@a.test", NULL, "no colon", -EINVAL, 0},
        {"no domain", "anna:*:", NULL, "whole address", -EINVAL, 0},
        {"two ats", "anna@b@a.test:*:", NULL, "whole address", -EINVAL, 0},
        {"literal", "anna@[192.0.2.1]:*:", NULL, "domain", -EINVAL, 0},
        {"no verifier", "anna@a.test::", NULL, "behind the first colon", -EINVAL, 12},
        {"plain password", "anna@a.test:secret:", NULL, "behind the first colon", -EINVAL, 12},
        {"empty verifier", "anna@a.test:*,,*:", NULL, "behind the first colon", -EINVAL, 12},
        {"blank in a hash", "anna@a.test:$y$a b:", NULL, "behind the first colon", -EINVAL, 12},
        {"unclosed scheme", "anna@a.test:{SSHA:", NULL, "behind the first colon", -EINVAL, 12},
        {"bad sender", "anna@a.test:*:info", NULL, "behind the second", -EINVAL, 14},
        {"passwd(5)", "anna:x:1000:1000:Anna:/home/anna:/bin/sh", NULL, "whole address", -EINVAL,
         0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct users_line line;
        const char *why = NULL;
        size_t at = 0;
        assert_int_equal(users_line_parse(span_from_cstr(cases[i].line), &line, &why, &at),
                         cases[i].result);
        if (cases[i].result == 0)
            assert_span(address_text(&line.address), cases[i].address);
        if (cases[i].result < 0) {
            assert_non_null(strstr(why, cases[i].why));
            assert_int_equal(at, cases[i].at);
        }
    }
}

static void a_nul_is_refused(void **state)
{
    struct users_line line;
    const char *why;
    size_t at;

    assert_int_equal(users_line_parse(SPAN("anna@a.test:*:\0x"), &line, &why, &at), -EINVAL);
}

static void items(void **state)
{
    struct span rest = SPAN("a, b ,,c"), item;
    static const char *const expected[] = {"a", "b", "", "c"};

    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_true(users_next_item(&rest, &item));
        assert_span(item, expected[i]);
    }
    assert_false(users_next_item(&rest, &item));
}

static void numbered_lines(void **state)
{
    struct lines lines = {.rest = SPAN("one\r\n\ntwo\n\rthree")};
    static const char *const expected[] = {"one", "", "two", "\rthree"};
    struct span line;

    for (uint32_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_true(lines_next(&lines, &line));
        assert_span(line, expected[i]);
        assert_int_equal(lines.number, i + 1);
    }
    assert_false(lines_next(&lines, &line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(a_nul_is_refused),
                                       cmocka_unit_test(items), cmocka_unit_test(numbered_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
