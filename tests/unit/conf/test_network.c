#include "../unit.h"

#include "conf/network.h"
#include <errno.h>

static void addresses(void **state)
{
    static const struct {
        const char *text;
        int result;
        const char *written;
    } cases[] = {
        {"0.0.0.0:25", 0, "0.0.0.0:25"},
        {"127.0.0.1:65535", 0, "127.0.0.1:65535"},
        {"[::]:25", 0, "[::]:25"},
        {"[2001:DB8:0::1]:2525", 0, "[2001:db8::1]:2525"},
        {"[::ffff:192.0.2.1]:25", 0, "192.0.2.1:25"},
        {"127.0.0.1", -EINVAL, NULL},
        {"127.0.0.1:", -EINVAL, NULL},
        {"127.0.0.1:0", -EINVAL, NULL},
        {"127.0.0.1:65536", -EINVAL, NULL},
        {"127.0.0.1:2x", -EINVAL, NULL},
        {"[127.0.0.1]:25", -EINVAL, NULL},
        {"::1:25", -EINVAL, NULL},
        {"2001:db8::1", -EINVAL, NULL},
        {"[::1:25", -EINVAL, NULL},
        {"[]:25", -EINVAL, NULL},
        {":25", -EINVAL, NULL},
        {"", -EINVAL, NULL},
        {"localhost:25", -EINVAL, NULL},
        {"127.1:25", -EINVAL, NULL},
        {"[fe80::1%eth0]:25", -EINVAL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_address address = {.port = 7};
        char text[CONF_NETWORK_TEXT];
        assert_int_equal(conf_address_parse(span_from_cstr(cases[i].text), &address),
                         cases[i].result);
        if (cases[i].result) {
            assert_int_equal(address.port, 7);
            continue;
        }
        conf_address_format(&address, text);
        assert_string_equal(text, cases[i].written);
    }
}

static void networks(void **state)
{
    static const struct {
        const char *text;
        int result;
        const char *written;
        const char *inside, *outside;
    } cases[] = {
        {"127.0.0.0/8", 0, "127.0.0.0/8", "127.255.0.1", "128.0.0.1"},
        {"192.0.2.7", 0, "192.0.2.7/32", "192.0.2.7", "192.0.2.6"},
        {"192.0.2.128/25", 0, "192.0.2.128/25", "192.0.2.255", "192.0.2.127"},
        {"0.0.0.0/0", 0, "0.0.0.0/0", "203.0.113.1", "2001:db8::1"},
        {"::/0", 0, "::/0", "2001:db8::1", "203.0.113.1"},
        {"2001:db8::/33", 0, "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"::1/128", 0, "::1/128", "::1", "::2"},
        {"128.0.0.0/1", 0, "128.0.0.0/1", "255.255.255.255", "127.255.255.255"},
        {"10.1.2.2/31", 0, "10.1.2.2/31", "10.1.2.3", "10.1.2.1"},
        {"fe80::/10", 0, "fe80::/10", "febf::1", "fec0::1"},
        {"8000::/1", 0, "8000::/1", "ffff::1", "7fff::1"},
        {"2001:db8::2/127", 0, "2001:db8::2/127", "2001:db8::3", "2001:db8::4"},
        /* IPv4 in the form of IPv6 is IPv4. */
        {"::ffff:10.0.0.0/104", 0, "10.0.0.0/8", "10.255.0.1", "11.0.0.1"},
        {"::ffff:0:0/96", 0, "0.0.0.0/0", "203.0.113.1", "::1"},
        {"10.0.0.1/31", -EDOM, NULL, NULL, NULL},
        {"::1/127", -EDOM, NULL, NULL, NULL},
        {"0.0.0.1/0", -EDOM, NULL, NULL, NULL},
        {"10.0.0.0/-1", -EINVAL, NULL, NULL, NULL},
        {"10.0.0.0/ 8", -EINVAL, NULL, NULL, NULL},
        {"10.0.0.0/0x8", -EINVAL, NULL, NULL, NULL},
        {"10.0.0/8", -EINVAL, NULL, NULL, NULL},
        {"[2001:db8::]/32", -EINVAL, NULL, NULL, NULL},
        {"10.0.0.1/8", -EDOM, NULL, NULL, NULL},
        {"2001:db8::1/64", -EDOM, NULL, NULL, NULL},
        {"10.0.0.0/33", -EINVAL, NULL, NULL, NULL},
        {"::/129", -EINVAL, NULL, NULL, NULL},
        {"10.0.0.0/", -EINVAL, NULL, NULL, NULL},
        {"/8", -EINVAL, NULL, NULL, NULL},
        {"", -EINVAL, NULL, NULL, NULL},
        {"10.0.0.0/8/8", -EINVAL, NULL, NULL, NULL},
        {"example.org", -EINVAL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_network network = {.prefix = 77};
        char text[CONF_NETWORK_TEXT];
        uint8_t ip[IP_BYTES];
        assert_int_equal(conf_network_parse(span_from_cstr(cases[i].text), &network),
                         cases[i].result);
        if (cases[i].result) {
            assert_int_equal(network.prefix, 77);
            continue;
        }
        conf_network_format(&network, text);
        assert_string_equal(text, cases[i].written);
        assert_int_equal(ip_parse(span_from_cstr(cases[i].inside), ip), 0);
        assert_true(conf_networks_contain(&network, 1, ip));
        assert_int_equal(ip_parse(span_from_cstr(cases[i].outside), ip), 0);
        assert_false(conf_networks_contain(&network, 1, ip));
    }
}

static void name_servers(void **state)
{
    static const struct {
        const char *text, *written; /* NULL: refused */
    } cases[] = {
        {"192.0.2.1", "192.0.2.1:53"},
        {"192.0.2.1@5353", "192.0.2.1:5353"},
        {"192.0.2.1:54", "192.0.2.1:54"},
        {"2001:db8::1", "[2001:db8::1]:53"},
        {"2001:db8::1@54", "[2001:db8::1]:54"},
        {"[2001:db8::1]:54", "[2001:db8::1]:54"},
        {"", NULL},
        {"192.0.2.1@", NULL},
        {"192.0.2.1@0", NULL},
        {"192.0.2.1@65536", NULL},
        {"@53", NULL},
        {"ns.example", NULL},
        {"192.0.2.1:54@53", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_address server = {.port = 7};
        char text[CONF_NETWORK_TEXT];
        int r = conf_server_parse(span_from_cstr(cases[i].text), &server);
        assert_int_equal(r, cases[i].written ? 0 : -EINVAL);
        if (r < 0) {
            assert_int_equal(server.port, 7);
            continue;
        }
        conf_address_format(&server, text);
        assert_string_equal(text, cases[i].written);
    }
}

static void addresses_of_all_hosts(void **state)
{
    static const struct {
        const char *text;
        bool any, v4;
    } cases[] = {
        {"0.0.0.0", true, true},  {"::", true, false},          {"::ffff:0.0.0.0", true, true},
        {"0.0.0.1", false, true}, {"1.0.0.0", false, true},     {"::1", false, false},
        {"8000::", false, false}, {"::fffe:0:0", false, false}, {"::1:0:0", false, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t ip[IP_BYTES];
        assert_int_equal(ip_parse(span_from_cstr(cases[i].text), ip), 0);
        assert_int_equal(conf_ip_is_any(ip), cases[i].any);
        assert_int_equal(ip_is_v4(ip), cases[i].v4);
    }
}

static void one_of_several_networks(void **state)
{
    struct conf_network networks[3];
    uint8_t ip[IP_BYTES];

    assert_int_equal(conf_network_parse(SPAN("10.0.0.0/8"), &networks[0]), 0);
    assert_int_equal(conf_network_parse(SPAN("2001:db8::/32"), &networks[1]), 0);
    assert_int_equal(conf_network_parse(SPAN("192.0.2.0/24"), &networks[2]), 0);
    assert_int_equal(ip_parse(SPAN("192.0.2.9"), ip), 0);
    assert_true(conf_networks_contain(networks, 3, ip));
    assert_false(conf_networks_contain(networks, 2, ip));
    assert_false(conf_networks_contain(networks, 0, ip));
    assert_int_equal(ip_parse(SPAN("2001:db8:1::"), ip), 0);
    assert_true(conf_networks_contain(networks, 2, ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(networks), cmocka_unit_test(name_servers),
        cmocka_unit_test(addresses_of_all_hosts), cmocka_unit_test(one_of_several_networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
