#include "../unit.h"

#include "mail/display_name.h"

static void names(void **state)
{
    static const struct {
        const char *name;
        const char *written;
    } cases[] = {
        {"Alice Miller", "Alice Miller"},
        {"", ""},
        {"Alice B. Miller", "\"Alice B. Miller\""},
        {"a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\""},
        {"evil\r\nBcc: x", "\"evil  Bcc: x\""},
        {"J\xc3\xbcrgen Gro\xc3\x9f", "=?utf-8?Q?J=C3=BCrgen_Gro=C3=9F?="},
        {"J\xc3\xbc=?_\n\"", "=?utf-8?Q?J=C3=BC=3D=3F=5F_=22?="},
        {"bad \xff\xc3\xbc", "=?utf-8?Q?bad__=C3=BC?="},
        {"AZaz09 !#$%&'*+-/=?^_`{|}~", "AZaz09 !#$%&'*+-/=?^_`{|}~"},
        {"\xc3\xbc AZaz09!*+-/", "=?utf-8?Q?=C3=BC_AZaz09!*+-/?="},
        {"\xc3\xbc#$%&'=?^_`{|}~(.,;:@[]<>\"\\",
         "=?utf-8?Q?=C3=BC=23=24=25=26=27=3D=3F=5E=5F=60=7B=7C=7D=7E=28=2E=2C=3B=3A?=\r\n "
         "=?utf-8?Q?=40=5B=5D=3C=3E=22=5C?="},
        {"\xc3\xbc\t\x1b\x7f\xe2\x80\xa8"
         "x",
         "=?utf-8?Q?=C3=BC______x?="},
        {"tab\there", "\"tab here\""},
        {"del\x7f", "\"del \""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        assert_int_equal(display_name_write(span_from_cstr(cases[i].name), &out), 0);
        assert_span(buffer_span(&out), cases[i].written);
        buffer_done(&out);
    }
}

/* RFC 2047 section 2: no encoded word above 75 characters; section 5: no character cut in two. */
static void long_names_are_divided(void **state)
{
    struct buffer name = BUFFER_INIT, out = BUFFER_INIT;

    for (int i = 0; i < 40; i++)
        buffer_append_span(&name, SPAN("\xe2\x82\xac"));
    assert_int_equal(display_name_write(buffer_span(&name), &out), 0);
    struct span rest = buffer_span(&out);
    int words = 0;
    while (rest.size) {
        ptrdiff_t end = span_find(rest, '\r');
        struct span word = end < 0 ? rest : span_first(rest, (size_t)end);
        assert_true(word.size <= 75);
        assert_int_equal((word.size - 12) % 9, 0);
        words++;
        rest = end < 0 ? span_of("", 0) : span_from(rest, (size_t)end + 3);
    }
    assert_true(words > 1);
    buffer_done(&name);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names),
                                       cmocka_unit_test(long_names_are_divided)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
