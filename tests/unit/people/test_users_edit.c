#include "../unit.h"

#include "people/users_edit.h"
#include <errno.h>

static const char text[] = "# our people\n"
                           "anna@a.test:*:info@a.test\n"
                           "\n"
                           "not a user\n"
                           "  bob@a.test : $y$j9T$s$h : # odd, but his\r\n"
                           "carl@a.test:*:";

enum edit { ADD, REMOVE, VERIFIERS };

static void edits(void **state)
{
    static const struct {
        enum edit edit;
        const char *text, *address;
        int result;
        const char *after;
    } cases[] = {
        {ADD, "", "x@a.test", 0, "x@a.test:$6$s$h:\n"},
        {ADD, "# c", "x@a.test", 0, "# c\nx@a.test:$6$s$h:\n"},
        {ADD, "a@a.test:*:\n", "A@A.test", -EEXIST, ""},
        {ADD, "a@a.test:*:\n", "a@b.test", 0, "a@a.test:*:\na@b.test:$6$s$h:\n"},
        {ADD, "", "#x@a.test", -EINVAL, ""},
        {ADD, "", "\"a:b\"@a.test", -EINVAL, ""},
        {REMOVE, "# c\na@a.test:*:\n\nb@a.test:*:\n", "a@a.test", 0, "# c\n\nb@a.test:*:\n"},
        {REMOVE, "a@a.test:*:", "A@a.test", 0, "# no users\n"},
        {REMOVE, "#a@a.test:*:\n", "a@a.test", -ENOENT, NULL},
        {VERIFIERS, "# c\r\nA@a.test:*:b@a.test, c@a.test\nrest", "a@a.test", 0,
         "# c\r\nA@a.test:$6$s$h:b@a.test, c@a.test\nrest"},
        {VERIFIERS, "a@a.test:*:", "a@a.test", 0, "a@a.test:$6$s$h:\n"},
        {VERIFIERS, "a@a.test:*:\n", "b@a.test", -ENOENT, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        struct span before = span_from_cstr(cases[i].text);
        struct address address;
        int r = 0;
        assert_int_equal(address_parse(span_from_cstr(cases[i].address), 0, &address), ADDRESS_OK);
        if (cases[i].edit == ADD)
            r = users_edit_add(before, &address, SPAN("$6$s$h"), SPAN(""), &out);
        else if (cases[i].edit == REMOVE)
            r = users_edit_remove(before, &address, &out);
        else
            r = users_edit_verifiers(before, &address, SPAN("$6$s$h"), &out);
        assert_int_equal(r, cases[i].result);
        if (cases[i].after)
            assert_span(buffer_span(&out), cases[i].after);
        buffer_done(&out);
    }
}

static void count_user(void *arg, const struct users_line *line)
{
    size_t *count = arg;
    (*count)++;
}

static void only_users_are_listed(void **state)
{
    size_t count = 0;

    users_each(SPAN("# c\nanna@a.test:*:\nnot a user\n\nbob@a.test:*:\n"), count_user, &count);
    assert_int_equal(count, 2);
}

static void a_full_buffer_is_an_error(void **state)
{
    struct buffer out = BUFFER_LIMITED(10);
    struct address address;

    assert_int_equal(address_parse(SPAN("carl@a.test"), 0, &address), ADDRESS_OK);
    assert_int_equal(users_edit_remove(span_from_cstr(text), &address, &out), -EMSGSIZE);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(edits),
                                       cmocka_unit_test(only_users_are_listed),
                                       cmocka_unit_test(a_full_buffer_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
