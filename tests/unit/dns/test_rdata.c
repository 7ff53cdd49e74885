#include "../unit.h"

#include "dns/rdata.h"

#include "dns/type.h"
#include <errno.h>

static void mx(void **state)
{
    struct dns_mx_record record;

    assert_int_equal(dns_rdata_mx(SPAN("\1\2\2mx\7example\0"), &record), 0);
    assert_int_equal(record.preference, 258);
    assert_string_equal(record.exchange, "mx.example");
    assert_int_equal(dns_rdata_mx(SPAN("\0\0\0"), &record), 0);
    assert_string_equal(record.exchange, ".");
}

static const struct {
    const char *name;
    struct span rdata;
} bad_mx[] = {
    {"nothing", SPAN("")},
    {"a preference only", SPAN("\0\12")},
    {"cut in the name", SPAN("\0\12\2mx")},
    {"a pointer", SPAN("\0\12\300\0")},
    {"something behind it", SPAN("\0\12\2mx\0x")},
};

static void mx_that_is_none(void **state)
{
    struct dns_mx_record record = {.preference = 7};

    for (size_t i = 0; i < ARRAY_SIZE(bad_mx); i++)
        if (dns_rdata_mx(bad_mx[i].rdata, &record) != -EINVAL || record.preference != 7)
            fail_msg("%s: accepted", bad_mx[i].name);
}

static void addresses(void **state)
{
    struct dns_ip ip;
    char text[IP_TEXT];

    assert_int_equal(dns_rdata_ip(DNS_TYPE_A, SPAN("\300\0\2\1"), &ip), 0);
    ip_format(ip.bytes, text);
    assert_string_equal(text, "192.0.2.1");
    assert_int_equal(dns_rdata_ip(DNS_TYPE_AAAA, SPAN("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), &ip),
                     0);
    ip_format(ip.bytes, text);
    assert_string_equal(text, "2001:db8::1");
    assert_int_equal(dns_rdata_ip(DNS_TYPE_A, SPAN("\300\0\2"), &ip), -EINVAL);
    assert_int_equal(dns_rdata_ip(DNS_TYPE_AAAA, SPAN("\300\0\2\1"), &ip), -EINVAL);
    assert_int_equal(dns_rdata_ip(DNS_TYPE_MX, SPAN("\300\0\2\1"), &ip), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mx),
        cmocka_unit_test(mx_that_is_none),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
