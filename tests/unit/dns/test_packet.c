#include "../unit.h"

#include "dns/packet.h"

#define HEAD(answers, authorities) "\0\1\x80\0\0\1\0" answers "\0" authorities "\0\0"
#define QUESTION "\4lame\7example\0\0\x0f\0\1"
#define RECORD(type) "\xc0\x0c\0" type "\0\1\0\0\1\x2c\0\4\2ns\0"

static const struct {
    const char *name;
    struct span packet;
    bool has_soa;
} cases[] = {
    {"no such record", SPAN(HEAD("\0", "\1") QUESTION RECORD("\6")), true},
    {"no such record, with servers", SPAN(HEAD("\0", "\2") QUESTION RECORD("\2") RECORD("\6")),
     true},
    {"behind an alias, its name in full",
     SPAN(HEAD("\1", "\1") QUESTION RECORD("\5") "\4lame\0\0\6\0\1\0\0\0\0\0\0"), true},
    {"servers", SPAN(HEAD("\0", "\1") QUESTION RECORD("\2")), false},
    {"nothing at all", SPAN(HEAD("\0", "\0") QUESTION), false},
    {"an answer", SPAN(HEAD("\1", "\1") QUESTION RECORD("\6") RECORD("\2")), false},
    {"no question", SPAN("\0\1\x80\0\0\0\0\0\0\1\0\0" RECORD("\6")), false},
    {"a label of 64", SPAN(HEAD("\0", "\1") "\x40lame"), false},
};

static void finds_soa(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (dns_packet_has_soa(cases[i].packet) != cases[i].has_soa)
            fail_msg("%s: wrong", cases[i].name);
}

static void nothing_in_what_is_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t size = 0; size < cases[i].packet.size; size++)
            assert_false(dns_packet_has_soa(span_first(cases[i].packet, size)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_soa),
        cmocka_unit_test(nothing_in_what_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
