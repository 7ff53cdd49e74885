#include "../unit.h"

#include "dns/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LABEL_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static const struct good {
    const char *name, *text, *back; /* back: NULL when the same */
    struct span wire;
} goods[] = {
    {"a host", "mx.example", NULL, SPAN("\2mx\7example\0")},
    {"a dot at the end", "mx.example.", "mx.example", SPAN("\2mx\7example\0")},
    {"the root", ".", NULL, SPAN("\0")},
    {"capitals", "MX.Example", "mx.example", SPAN("\2mx\7example\0")},
    {"an escaped dot", "a\\.b.example", NULL, SPAN("\3a.b\7example\0")},
    {"an escaped backslash", "a\\\\b", NULL, SPAN("\3a\\b\0")},
    {"a control byte", "a\\000b", NULL, SPAN("\3a\0b\0")},
    {"a high byte", "\\255", NULL, SPAN("\1\377\0")},
    {"a needless escape", "\\A\\066", "ab", SPAN("\2ab\0")},
    {"a blank", "\\032", NULL, SPAN("\1 \0")},
    {"the longest label", LABEL_63, NULL, SPAN("\77" LABEL_63 "\0")},
};

static void both_ways(void **state)
{
    uint8_t wire[DNS_WIRE_MAX];
    char text[DNS_TEXT_SIZE];
    size_t size, used;

    for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
        const struct good *c = &goods[i];
        if (dns_name_from_text(span_from_cstr(c->text), wire, &size) < 0)
            fail_msg("%s: refused", c->name);
        if (!span_equal(span_of(wire, size), c->wire))
            fail_msg("%s: other bytes", c->name);
        assert_int_equal(dns_name_to_text(c->wire, text, &used), 0);
        assert_int_equal(used, c->wire.size);
        assert_string_equal(text, c->back ? c->back : c->text);
    }
}

static const struct {
    const char *name;
    const char *text;
} bad_texts[] = {
    {"nothing", ""},
    {"an empty label", "a..b"},
    {"a dot in front", ".a"},
    {"two dots", ".."},
    {"a label of 64", LABEL_63 "h"},
    {"a backslash at the end", "a\\"},
    {"half a number", "a\\12"},
    {"a number over 255", "a\\256"},
    {"too long", LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63},
};

static void bad_text(void **state)
{
    uint8_t wire[DNS_WIRE_MAX] = {7};
    size_t size = 7;

    for (size_t i = 0; i < ARRAY_SIZE(bad_texts); i++) {
        if (dns_name_from_text(span_from_cstr(bad_texts[i].text), wire, &size) != -EINVAL)
            fail_msg("%s: accepted", bad_texts[i].name);
        assert_true(wire[0] == 7 && size == 7);
    }
}

/* 255 bytes of wire form are the most (RFC 1035 2.3.4): 3 * 64 + 62 + 1. */
static void longest_name(void **state)
{
    uint8_t wire[DNS_WIRE_MAX];
    char text[DNS_TEXT_SIZE], again[DNS_TEXT_SIZE];
    size_t size, used;

    snprintf(text, sizeof(text), "%s.%s.%s.%.61s", LABEL_63, LABEL_63, LABEL_63, LABEL_63);
    assert_int_equal(dns_name_from_text(span_from_cstr(text), wire, &size), 0);
    assert_int_equal(size, DNS_WIRE_MAX);
    assert_int_equal(dns_name_to_text(span_of(wire, size), again, &used), 0);
    assert_string_equal(again, text);
    snprintf(text, sizeof(text), "%s.%s.%s.%.62s", LABEL_63, LABEL_63, LABEL_63, LABEL_63);
    assert_int_equal(dns_name_from_text(span_from_cstr(text), wire, &size), -EINVAL);
}

static const struct {
    const char *name;
    struct span wire;
} bad_wires[] = {
    {"nothing", SPAN("")},
    {"no root", SPAN("\2mx")},
    {"cut in a label", SPAN("\5mx")},
    {"a pointer", SPAN("\300\14")},
    {"an unknown kind of label", SPAN("\101a\0")},
};

/* Each in memory of its own size, so that a byte read too far is seen. */
static void bad_wire(void **state)
{
    char text[DNS_TEXT_SIZE];
    size_t used = 7;

    for (size_t i = 0; i < ARRAY_SIZE(bad_wires); i++) {
        struct span wire = bad_wires[i].wire;
        char *copy = malloc(wire.size + 1);
        memcpy(copy, wire.data, wire.size);
        if (dns_name_to_text(span_of(copy, wire.size), text, &used) != -EINVAL || used != 7)
            fail_msg("%s: accepted", bad_wires[i].name);
        free(copy);
    }
}

static void what_follows_stays(void **state)
{
    char text[DNS_TEXT_SIZE];
    size_t used;

    assert_int_equal(dns_name_to_text(SPAN("\1a\0\1b\0"), text, &used), 0);
    assert_int_equal(used, 3);
    assert_string_equal(text, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),          cmocka_unit_test(bad_text),
        cmocka_unit_test(longest_name),       cmocka_unit_test(bad_wire),
        cmocka_unit_test(what_follows_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
