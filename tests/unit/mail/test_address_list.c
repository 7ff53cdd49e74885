#include "../unit.h"

#include "mail/address_list.h"

#include <errno.h>

/* Addresses divided by '|', bad ones in !…!. */
static void read_all(struct span list, struct buffer *out)
{
    struct buffer one = BUFFER_INIT;
    int result;

    while ((result = address_list_next(&list, &one)) != 0) {
        assert_true(result == 1 || result == -EINVAL);
        buffer_printf(out, result == 1 ? "%.*s|" : "!%.*s!|", SPAN_ARG(buffer_span(&one)));
    }
    assert_int_equal(list.size, 0);
    buffer_done(&one);
}

static void lists(void **state)
{
    static const struct {
        const char *list;
        const char *addresses;
    } cases[] = {
        {"", ""},
        {" \r\n", ""},
        {"a@b", "a@b|"},
        {" a@b , c@d\r\n", "a@b|c@d|"},
        {"a@b,,\r\n\t,c@d,", "a@b|c@d|"},
        {"alice", "alice|"},
        {"Alice Miller <alice@x>", "alice@x|"},
        {"\"Miller, Alice\" <alice@x>, bob@y", "alice@x|bob@y|"},
        {"\"quoted local\"@x", "\"quoted local\"@x|"},
        {"\"with \\\" in it\"@x", "\"with \\\" in it\"@x|"},
        {"a@b (Alice (the (first)), really), c@d", "a@b|c@d|"},
        {"a (x) @ b . c", "a@b.c|"},
        {"<a@b>", "a@b|"},
        {"<>", "|"},
        {"<@hop,@hop2:a@b>", "a@b|"},
        {"friends: a@b, Carl <c@d>; e@f", "a@b|c@d|e@f|"},
        {"undisclosed-recipients:;", ""},
        {"a@[IPv6:2001:db8::1], <b@[127.0.0.1]>", "a@[IPv6:2001:db8::1]|b@[127.0.0.1]|"},
        {"J\xc3\xbcrgen <j\xc3\xbcrgen@x>", "j\xc3\xbcrgen@x|"},
        {"Alice Miller, b@c", "!Alice Miller!|b@c|"},
        {"<a b@c>", "!ab@c!|"},
        {"<a@b", "!a@b!|"},
        {"a@b> , c@d", "!a@b!|c@d|"},
        {"<a@b> <c@d>, e@f", "!c@d!|e@f|"},
        {"<a@b> c, e@f", "!a@b!|e@f|"},
        {"\"open, a@b", "!\"open, a@b!|"},
        {"(open, a@b", "!!|"},
        {"a@b (open \\", "!a@b!|"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        print_message("%s\n", cases[i].list);
        read_all(span_from_cstr(cases[i].list), &out);
        assert_span(buffer_span(&out), cases[i].addresses);
        buffer_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
