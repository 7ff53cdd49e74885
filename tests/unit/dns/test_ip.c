#include "../unit.h"

#include "dns/ip.h"

static const struct {
    const char *text;
    const char *kind; /* NULL: fit for a mail server */
} cases[] = {
    {"0.0.0.0", "unspecified"},
    {"0.255.255.255", "unspecified"},
    {"1.0.0.0", NULL},
    {"9.255.255.255", NULL},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "private"},
    {"100.127.255.255", "private"},
    {"100.128.0.0", NULL},
    {"126.255.255.255", NULL},
    {"127.0.0.1", "loopback"},
    {"127.255.255.255", "loopback"},
    {"128.0.0.0", NULL},
    {"169.254.1.1", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.0", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"192.0.2.1", NULL},
    {"192.167.255.255", NULL},
    {"192.168.0.1", "private"},
    {"192.169.0.0", NULL},
    {"223.255.255.255", NULL},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.0", "reserved"},
    {"255.255.255.255", "reserved"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "reserved"},
    {"::10.0.0.1", "reserved"},
    {"::ffff:10.0.0.1", "private"}, /* IPv4 in disguise */
    {"::ffff:192.0.2.1", NULL},
    {"2001:db8::1", NULL},
    {"fbff::1", NULL},
    {"fc00::1", "private"},
    {"fdff::1", "private"},
    {"fe7f::1", NULL},
    {"fe80::1", "link-local"},
    {"febf::1", "link-local"},
    {"fec0::1", "private"},
    {"ff02::1", "multicast"},
    {"64:ff9b::7f00:1", "loopback"}, /* IPv4 behind a translator … */
    {"64:ff9b::a00:1", "private"},
    {"64:ff9b::c000:201", NULL},
    {"64:ff9b:0:1::a00:1", NULL},
    {"64:ff9b:1::a00:1", "private"}, /* a network's own one, wherever it has the IPv4 address */
    {"64:ff9b:1:7f00:0:100::", "loopback"},
    {"64:ff9b:1:c0:a8:100::", "private"},
    {"64:ff9b:1:0:a:0:100:0", "private"},
    {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "reserved"},
    {"64:ff9b:1::", "unspecified"},
    {"64:ff9b:1::c000:201", NULL},
    {"64:ff9b:1:abcd::c000:201", NULL},
    {"64:ff9b:1:c000:2:100::", "unspecified"},
    {"64:ff9b:2::a00:1", NULL},
    {"2002:7f00:1::1", "loopback"}, /* … or a relay */
    {"2002:c0a8:1::1", "private"},
    {"2002:c000:201::1", NULL},
};

static void kinds(void **state)
{
    struct dns_ip ip;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(ip_parse(span_from_cstr(cases[i].text), ip.bytes), 0);
        const char *kind = dns_ip_special(&ip);
        if (!kind != !cases[i].kind || (kind && strcmp(kind, cases[i].kind) != 0))
            fail_msg("%s: %s", cases[i].text, kind ? kind : "nothing special");
    }
}

static void assert_inner(const char *text, const char *expected)
{
    char inner[IP_TEXT];
    struct dns_ip ip;

    assert_int_equal(ip_parse(span_from_cstr(text), ip.bytes), 0);
    ip = dns_ip_inner(&ip);
    ip_format(ip.bytes, inner);
    assert_string_equal(inner, expected);
}

static void behind_a_translator(void **state)
{
    assert_inner("64:ff9b::192.0.2.9", "192.0.2.9");
    assert_inner("64:ff9b:0:1::c000:209", "64:ff9b:0:1::c000:209");
    assert_inner("2002:c000:209::1", "2002:c000:209::1");
    assert_inner("2001:db8::9", "2001:db8::9");
    assert_inner("192.0.2.9", "192.0.2.9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(behind_a_translator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
