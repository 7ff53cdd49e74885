#include "../unit.h"

#include "people/lines.h"
#include "people/users.h"
#include <errno.h>
#include <stdio.h>

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

/* crypt(5): what may stand in a hash, and what shows that it isn't one. */
static void verifiers(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"*", true},
        {"$6$", true},
        {"$6$./09azAZ$~\"#%&'()+-<=>?@[]^_`|{}", true},
        {"{A}", true},
        {"{A}x", true},
        {"*, $6$x", true},
        {"", false},
        {",", false},
        {"*,", true},
        {"$6", false},
        {"$", false},
        {"{}", false},
        {"{A", false},
        {"A}", false},
        {"6$x$y", false},
        {"$6$a*b", false},
        {"$6$a!b", false},
        {"$6$a;b", false},
        {"$6$a\\b", false},
        {"$6$a\tb", false},
        {"$6$a\x7f", false},
        {"$6$a\xc3\xbc", false},
        {"**", false},
        {"!", false},
        {"x", false},
        {"$6$x, y", false},
        {"$6$x,,$6$y", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct users_line parsed;
        char line[120];
        const char *why;
        size_t at;
        snprintf(line, sizeof(line), "anna@a.test:%s:", cases[i].text);
        int r = users_line_parse(span_from_cstr(line), &parsed, &why, &at);
        if (r != (cases[i].good ? 0 : -EINVAL))
            print_error("%s\n", line);
        assert_int_equal(r, cases[i].good ? 0 : -EINVAL);
        if (r == 0)
            assert_span(parsed.verifiers, cases[i].text);
    }
}

static void senders(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"", true},
        {" ", true},
        {"info@a.test", true},
        {" info@a.test , m\xc3\xbcller@a.test,", true},
        {",,info@a.test", true},
        {"info", false},
        {"info@a.test, sales", false},
        {"<info@a.test>", false},
        {"info@a.test:x", false}, /* a third colon */
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct users_line parsed;
        char line[120];
        const char *why;
        size_t at;
        snprintf(line, sizeof(line), "anna@a.test:*:%s", cases[i].text);
        assert_int_equal(users_line_parse(span_from_cstr(line), &parsed, &why, &at),
                         cases[i].good ? 0 : -EINVAL);
    }
}

static void a_nul_is_refused(void **state)
{
    struct users_line line;
    const char *why;
    size_t at;

    assert_int_equal(users_line_parse(SPAN("anna@a.test:*:\0x"), &line, &why, &at), -EINVAL);
    assert_non_null(strstr(why, "NUL"));
    assert_int_equal(users_line_parse(SPAN("\0"), &line, &why, &at), -EINVAL);
    assert_non_null(strstr(why, "NUL"));
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),   cmocka_unit_test(verifiers),
        cmocka_unit_test(senders), cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(items),   cmocka_unit_test(numbered_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
