/* Addresses of both families, as text and as the kernel has them. */
#include "../unit.h"

#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static void texts(void **state)
{
    static const struct {
        const char *text, *shown; /* NULL: the same */
        bool v4;
    } cases[] = {
        {"0.0.0.0", NULL, true},
        {"192.0.2.7", NULL, true},
        {"::ffff:192.0.2.7", "192.0.2.7", true},
        {"::", NULL, false},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", false},
        {"::fffe:0:1", NULL, false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t ip[IP_BYTES], again[IP_BYTES];
        char shown[IP_TEXT];
        assert_int_equal(ip_parse(span_from_cstr(cases[i].text), ip), 0);
        assert_int_equal(ip_is_v4(ip), cases[i].v4);
        ip_format(ip, shown);
        assert_string_equal(shown, cases[i].shown ? cases[i].shown : cases[i].text);
        assert_int_equal(ip_parse(span_from_cstr(shown), again), 0);
        assert_memory_equal(ip, again, sizeof(ip));
    }
}

static void texts_that_are_none(void **state)
{
    static const struct span cases[] = {
        SPAN(""),           SPAN("1.2.3"),
        SPAN("1.2.3.4.5"),  SPAN("01.2.3.4x"),
        SPAN("1.2.3.4\0x"), SPAN("[192.0.2.1]"),
        SPAN("fe80::1%lo"), SPAN("1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111"),
    };
    uint8_t ip[IP_BYTES], untouched[IP_BYTES];

    memset(ip, 7, sizeof(ip));
    memset(untouched, 7, sizeof(untouched));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(ip_parse(cases[i], ip), -EINVAL);
    assert_memory_equal(ip, untouched, sizeof(ip));
}

static void what_the_kernel_says(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000207)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr local = {.sa_family = AF_UNIX};
    uint8_t ip[IP_BYTES];
    char text[IP_TEXT];

    assert_true(ip_from_sockaddr((struct sockaddr *)&v4, ip));
    ip_format(ip, text);
    assert_string_equal(text, "192.0.2.7");
    assert_true(ip_from_sockaddr((struct sockaddr *)&v6, ip));
    assert_false(ip_from_sockaddr(&local, ip));
    ip_format(ip, text);
    assert_string_equal(text, "::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(texts_that_are_none),
        cmocka_unit_test(what_the_kernel_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
