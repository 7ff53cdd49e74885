#include "../unit.h"

#include "mail/address.h"

#include <stdlib.h>

#define UTF8 ADDRESS_ALLOW_UTF8

/* Every path runs through here: whole, and with each possible cut, which must never be read past
 * its end (the sanitizer watches a copy of exactly that size). */
static enum address_result parse_path(struct span text, unsigned flags, struct address *out,
                                      size_t *out_consumed)
{
    for (size_t cut = 0; cut < text.size; cut++) {
        struct address part;
        size_t consumed;
        char *copy = malloc(cut + 1);
        memcpy(copy, text.data, cut);
        if (address_parse_path(span_of(copy, cut), flags, &part, &consumed) == ADDRESS_OK)
            assert_true(consumed <= cut);
        free(copy);
    }
    return address_parse_path(text, flags, out, out_consumed);
}

static void paths(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        enum address_result result;
        const char *canonical, *raw;
    } cases[] = {
        {"<bob@a.example>", 0, ADDRESS_OK, "bob@a.example", "bob"},
        {"<Bob@A.EXAMPLE>", 0, ADDRESS_OK, "Bob@a.example", "Bob"},
        {"<b.o+b/x=1@a.example>", 0, ADDRESS_OK, "b.o+b/x=1@a.example", "b.o+b/x=1"},
        {"<\"bob\"@a.example>", 0, ADDRESS_OK, "bob@a.example", "bob"},
        {"<\"b\\ob\"@a.example>", 0, ADDRESS_OK, "bob@a.example", "bob"},
        {"<\"b ob\"@a.example>", 0, ADDRESS_OK, "\"b ob\"@a.example", "b ob"},
        {"<\"b\\\"o\\\\b\"@a.example>", 0, ADDRESS_OK, "\"b\\\"o\\\\b\"@a.example", "b\"o\\b"},
        {"<\"b>@c\"@a.example>", 0, ADDRESS_OK, "\"b>@c\"@a.example", "b>@c"},
        {"<\"\"@a.example>", 0, ADDRESS_OK, "\"\"@a.example", ""},
        {"<\"a.\"@a.example>", 0, ADDRESS_OK, "\"a.\"@a.example", "a."},
        {"<bob%b.example@a.example>", 0, ADDRESS_OK, "bob%b.example@a.example", "bob%b.example"},
        {"<b.example!bob@a.example>", 0, ADDRESS_OK, "b.example!bob@a.example", "b.example!bob"},
        {"<\"bob@b.example\"@a.example>", 0, ADDRESS_OK, "\"bob@b.example\"@a.example",
         "bob@b.example"},
        {"<@b.example:bob@a.example>", 0, ADDRESS_OK, "bob@a.example", "bob"},
        {"<@b.example,@[192.0.2.1]:bob@a.example>", 0, ADDRESS_OK, "bob@a.example", "bob"},
        {"<${run{/bin/sh}}@a.example>", 0, ADDRESS_OK, "${run{/bin/sh}}@a.example",
         "${run{/bin/sh}}"},
        {"<|/bin/sh@a.example>", 0, ADDRESS_OK, "|/bin/sh@a.example", "|/bin/sh"},
        {"<`id`@a.example>", 0, ADDRESS_OK, "`id`@a.example", "`id`"},
        {"<bob@[192.0.2.1]>", 0, ADDRESS_OK, "bob@[192.0.2.1]", "bob"},
        {"<bob@[IPv6:2001:DB8:0::1]>", 0, ADDRESS_OK, "bob@[IPv6:2001:db8::1]", "bob"},
        {"<bob@[ipv6:::ffff:192.0.2.1]>", 0, ADDRESS_OK, "bob@[IPv6:::ffff:192.0.2.1]", "bob"},
        {"<bob@a_b.example>", 0, ADDRESS_OK, "bob@a_b.example", "bob"},
        {"<bob@localhost>", 0, ADDRESS_OK, "bob@localhost", "bob"},
        {"<bob@09.az-09.9z>", 0, ADDRESS_OK, "bob@09.az-09.9z", "bob"},
        {"<bob@[IPv6:1111:2222:3333:4444:5555:6666:255.255.255.255]>", 0, ADDRESS_OK,
         "bob@[IPv6:1111:2222:3333:4444:5555:6666:ffff:ffff]", "bob"},
        {"<bob@b\xc3\xbc"
         "cher.example>",
         UTF8, ADDRESS_OK, "bob@xn--bcher-kva.example", "bob"},
        {"<bob@BU\xcc\x88"
         "CHER.example>",
         UTF8, ADDRESS_OK, "bob@xn--bcher-kva.example", "bob"},
        {"<bob@XN--BCHER-KVA.example>", 0, ADDRESS_OK, "bob@xn--bcher-kva.example", "bob"},
        {"<bob@a\xe3\x80\x82"
         "example>",
         UTF8, ADDRESS_OK, "bob@a.example", "bob"},
        {"<b\xc3\xbc@a.example>", UTF8, ADDRESS_OK, "b\xc3\xbc@a.example", "b\xc3\xbc"},
        {"<b\xc2\xa0@a.example>", UTF8, ADDRESS_OK, "b\xc2\xa0@a.example", "b\xc2\xa0"},
        {"<zZaA09!#$%&'*+-/=?^_`{|}~@z.example>", 0, ADDRESS_OK,
         "zZaA09!#$%&'*+-/=?^_`{|}~@z.example", "zZaA09!#$%&'*+-/=?^_`{|}~"},
        {"<>", ADDRESS_ALLOW_NULL, ADDRESS_OK, "", ""},
        {"<PostMaster>", ADDRESS_ALLOW_POSTMASTER, ADDRESS_OK, "PostMaster", "PostMaster"},
        {"<alice>", ADDRESS_ALLOW_NO_DOMAIN, ADDRESS_OK, "alice", "alice"},

        {"<>", 0, ADDRESS_BAD_SYNTAX},
        {"<postmaster>", 0, ADDRESS_NO_DOMAIN},
        {"<alice>", ADDRESS_ALLOW_POSTMASTER, ADDRESS_NO_DOMAIN},
        {"<bob@>", 0, ADDRESS_NO_DOMAIN},
        {"<bob@", 0, ADDRESS_NO_DOMAIN},
        {"<@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<@:bob@a.example>", 0, ADDRESS_NO_DOMAIN},
        {"<@b.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example,", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example:", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example:>", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example;bob@a.example>", 0, ADDRESS_BAD_DOMAIN},
        {"<@b.example bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example,bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<@b.example,:bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<@a@b.example:bob@a.example>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@b.example@a.example>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@b.example:a@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob@a.example", 0, ADDRESS_BAD_SYNTAX},
        {"bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob @a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"< bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob@a.example >", 0, ADDRESS_BAD_SYNTAX},
        {"<bob@a. example>", 0, ADDRESS_BAD_DOMAIN},
        {"<.bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob.@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<b..ob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"bob@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"bob\"x@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<x\"bob\"@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"b\tb\"@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"b\x7f\"@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"b\\\x7f\"@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"b\\", 0, ADDRESS_BAD_SYNTAX},
        {"<b\x7f@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<\"b\r\nb\"@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<b(c)@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob;id@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob,eve@a.example>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob@a..example>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@.example>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@a.example.>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@-a.example>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@a-.example>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@192.0.2.1>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@a/b>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[192.0.2.256]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[192.0.2.1>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[192.0.2.1]x>", 0, ADDRESS_BAD_SYNTAX},
        {"<bob@[2001:db8::1]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[IPv6:]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[IPv6:1::2::3]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[X:abc]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[IPv6:", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[192.0.2.1 ]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[192.0.2.001]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[IPv6:192.0.2.1]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@[IPv6:fe80::1%lo]>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@0123456789>", 0, ADDRESS_BAD_DOMAIN},
        {"<bob@a.9>", 0, ADDRESS_BAD_DOMAIN},
        {"<b\xc3\xbc@a.example>", 0, ADDRESS_NEEDS_UTF8},
        {"<bob@b\xc3\xbc.example>", 0, ADDRESS_NEEDS_UTF8},
        {"<b\xc3@a.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<b\xff@a.example>", 0, ADDRESS_BAD_UTF8},
        {"<b\xc0\xaf@a.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<b\xc2\x9b@a.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<b\xc2\x80@a.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<\xc2\x9f@a.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<bob@a\xc2\x9f.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<bob@a\xff.example>", UTF8, ADDRESS_BAD_UTF8},
        {"<bob@a\xef\xbc\xa0"
         "b.example>",
         UTF8, ADDRESS_BAD_DOMAIN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span text = span_from_cstr(cases[i].text);
        struct address a;
        size_t consumed = 0;
        enum address_result r = parse_path(text, cases[i].flags, &a, &consumed);
        if (r != cases[i].result)
            print_error("%s: %s\n", cases[i].text, address_result_text(r));
        assert_int_equal(r, cases[i].result);
        if (r != ADDRESS_OK)
            continue;
        assert_int_equal(consumed, text.size);
        assert_span(address_text(&a), cases[i].canonical);
        assert_string_equal(a.text, cases[i].canonical);
        assert_span(address_raw_local(&a), cases[i].raw);
    }
}

/* That a path may be the null one changes no other, and what an address held before is gone. */
static void an_address_is_read_into_a_used_one(void **state)
{
    struct address a;
    size_t consumed;

    memset(&a, 0xff, sizeof(a));
    assert_int_equal(
        address_parse_path(SPAN("<\"b o b\"@[192.0.2.1]>"), ADDRESS_ALLOW_NULL, &a, &consumed),
        ADDRESS_OK);
    assert_true(a.literal && !a.utf8);
    assert_span(address_raw_local(&a), "b o b");
    assert_int_equal(
        address_parse_path(SPAN("<\"x y\"@a.test>"), ADDRESS_ALLOW_NULL, &a, &consumed),
        ADDRESS_OK);
    assert_false(a.literal || a.utf8);
    assert_span(address_raw_local(&a), "x y");
    assert_string_equal(a.text, "\"x y\"@a.test");
    assert_int_equal(address_parse(SPAN("b"), ADDRESS_ALLOW_NO_DOMAIN, &a), ADDRESS_OK);
    assert_string_equal(a.text, "b");
    assert_int_equal(address_parse(SPAN("\xc3\xbc@a.test"), UTF8, &a), ADDRESS_OK);
    assert_true(a.utf8);
    assert_int_equal(address_parse_path(SPAN("<>"), ADDRESS_ALLOW_NULL, &a, &consumed), ADDRESS_OK);
    assert_int_equal(a.size, 0);
    assert_int_equal(address_domain(&a).size, 0);
    assert_int_equal(address_raw_local(&a).size, 0);
    assert_string_equal(a.text, "");
    assert_int_equal(address_parse_path(SPAN("<x"), ADDRESS_ALLOW_NULL, &a, &consumed),
                     ADDRESS_NO_DOMAIN);
}

/* The path ends where it ends; what follows is the caller's. */
static void path_with_rest(void **state)
{
    struct address a;
    size_t consumed;

    assert_int_equal(address_parse_path(SPAN("<a@b.example> SIZE=1"), 0, &a, &consumed),
                     ADDRESS_OK);
    assert_int_equal(consumed, 13);
    assert_int_equal(address_parse_path(SPAN("<\"> \"@b.example>x"), 0, &a, &consumed), ADDRESS_OK);
    assert_int_equal(consumed, 16);
}

static void embedded_nul(void **state)
{
    struct address a;
    size_t consumed;

    assert_int_equal(address_parse_path(SPAN("<a@b.example\0.c>"), 0, &a, &consumed),
                     ADDRESS_BAD_SYNTAX);
    assert_int_equal(address_parse_path(SPAN("<a\0@b.example>"), 0, &a, &consumed),
                     ADDRESS_BAD_SYNTAX);
    assert_int_equal(address_parse_path(SPAN("<a@[192.0.2.1\0]>"), 0, &a, &consumed),
                     ADDRESS_BAD_DOMAIN);
}

static void bare(void **state)
{
    struct address a;

    assert_int_equal(address_parse(SPAN("bob@a.example"), 0, &a), ADDRESS_OK);
    assert_span(address_domain(&a), "a.example");
    assert_int_equal(address_parse(SPAN("bob"), ADDRESS_ALLOW_NO_DOMAIN, &a), ADDRESS_OK);
    assert_int_equal(address_domain(&a).size, 0);
    assert_int_equal(address_parse(SPAN("bob@a.example "), 0, &a), ADDRESS_BAD_SYNTAX);
    assert_int_equal(address_parse(SPAN("<bob@a.example>"), 0, &a), ADDRESS_BAD_SYNTAX);
    assert_int_equal(address_parse(SPAN(""), ADDRESS_ALLOW_NO_DOMAIN, &a), ADDRESS_BAD_SYNTAX);
}

static void lengths(void **state)
{
    char text[2000];
    struct address a;

    memset(text, 'a', sizeof(text));
    memcpy(text + ADDRESS_LOCAL_MAX, "@b.example", 10);
    assert_int_equal(address_parse(span_of(text, ADDRESS_LOCAL_MAX + 10), 0, &a), ADDRESS_OK);
    assert_int_equal(a.local_size, ADDRESS_LOCAL_MAX);
    assert_int_equal(address_parse(span_of(text, 1999), 0, &a), ADDRESS_TOO_LONG);

    memset(text, 'a', sizeof(text));
    assert_int_equal(address_parse(span_of(text, 1999), ADDRESS_ALLOW_NO_DOMAIN, &a),
                     ADDRESS_TOO_LONG);
    text[1] = '@';
    assert_int_equal(address_parse(span_of(text, 2 + 63), 0, &a), ADDRESS_OK);
    assert_int_equal(address_parse(span_of(text, 2 + 64), 0, &a), ADDRESS_BAD_DOMAIN);
    for (size_t i = 5; i < sizeof(text); i += 4)
        text[i] = '.';
    assert_int_equal(address_parse(span_of(text, 2 + 255), 0, &a), ADDRESS_OK);
    assert_int_equal(address_parse(span_of(text, 2 + 257), 0, &a), ADDRESS_TOO_LONG);

    /* What needs quotes has two bytes less, and one less for each escape. */
    memset(text, ' ', sizeof(text));
    text[0] = text[ADDRESS_LOCAL_MAX - 1] = '"';
    memcpy(text + ADDRESS_LOCAL_MAX, "@b.example", 10);
    assert_int_equal(address_parse(span_of(text, ADDRESS_LOCAL_MAX + 10), 0, &a), ADDRESS_OK);
    assert_int_equal(a.local_size, ADDRESS_LOCAL_MAX);
    text[ADDRESS_LOCAL_MAX - 1] = ' ';
    memcpy(text + ADDRESS_LOCAL_MAX, "\"@b.example", 11);
    assert_int_equal(address_parse(span_of(text, ADDRESS_LOCAL_MAX + 11), 0, &a), ADDRESS_TOO_LONG);
    /* Quotes that aren't needed don't count. */
    memset(text + 1, 'a', ADDRESS_LOCAL_MAX);
    memcpy(text + 1 + ADDRESS_LOCAL_MAX, "\"@b.example", 11);
    assert_int_equal(address_parse(span_of(text, ADDRESS_LOCAL_MAX + 12), 0, &a), ADDRESS_OK);
    text[ADDRESS_LOCAL_MAX + 1] = 'a';
    memcpy(text + 2 + ADDRESS_LOCAL_MAX, "\"@b.example", 11);
    assert_int_equal(address_parse(span_of(text, ADDRESS_LOCAL_MAX + 13), 0, &a), ADDRESS_TOO_LONG);

    /* Every byte needs an escape: what fits raw need not fit written. */
    memset(text, '\\', sizeof(text));
    text[0] = '"';
    text[301] = '"';
    memcpy(text + 302, "@b.example", 10);
    assert_int_equal(address_parse(span_of(text, 312), 0, &a), ADDRESS_TOO_LONG);
}

static void split(void **state)
{
    struct span local, domain;

    address_split(SPAN("\"a@b\"@c.example"), &local, &domain);
    assert_span(local, "\"a@b\"");
    assert_span(domain, "c.example");
    address_split(SPAN("alone"), &local, &domain);
    assert_span(local, "alone");
    assert_int_equal(domain.size, 0);
    assert_span(address_domain_of(SPAN("\"a@b\"@c.example")), "c.example");
    assert_span(address_domain_of(SPAN("c.example")), "c.example");
    assert_span(address_domain_of(SPAN("")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),          cmocka_unit_test(an_address_is_read_into_a_used_one),
        cmocka_unit_test(path_with_rest), cmocka_unit_test(embedded_nul),
        cmocka_unit_test(bare),           cmocka_unit_test(lengths),
        cmocka_unit_test(split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
