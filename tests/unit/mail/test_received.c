#include "../unit.h"

#include "mail/received.h"

#include <stdlib.h>
#include <time.h>

static struct envelope_recipient recipients[2] = {
    {.address = {"carl@a.example", 14}, .original = {"bob@a.example", 13}},
    {.address = {"eve@a.example", 13}},
};

static struct envelope sample(void)
{
    static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 7};
    struct envelope e = {
        .accepted_us = INT64_C(1795284003000000),
        .recipients = recipients,
        .recipient_count = 1,
        .client = {.uid = UINT32_MAX, .helo = SPAN("client.example"), .protocol = SPAN("ESMTP")},
    };
    memcpy(e.client.ip, ip, sizeof(ip));
    return e;
}

static void expect(const struct envelope *e, const char *text)
{
    struct buffer out = BUFFER_INIT;
    assert_int_equal(received_write(e, SPAN("mx.example"), &out), 0);
    assert_span(buffer_span(&out), text);
    buffer_done(&out);
}

static void one_recipient(void **state)
{
    struct envelope e = sample();
    expect(&e, "Received: from client.example ([192.0.2.7])\r\n"
               "\tby mx.example with ESMTP id 0000000000000000\r\n"
               "\tfor <bob@a.example>;\r\n"
               "\tSat, 21 Nov 2026 18:00:03 +0000\r\n");
}

static void several_recipients_stay_secret(void **state)
{
    struct envelope e = sample();
    e.recipient_count = 2;
    e.client.tls = SPAN("TLSv1.3");
    memcpy(e.client.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    expect(&e, "Received: from client.example ([IPv6:2001:db8::1])\r\n"
               "\t(using TLSv1.3)\r\n"
               "\tby mx.example with ESMTP id 0000000000000000;\r\n"
               "\tSat, 21 Nov 2026 18:00:03 +0000\r\n");
}

static void local_user(void **state)
{
    struct envelope e = sample();
    e.client.uid = 1000;
    e.client.helo = SPAN("");
    e.recipient_count = 0;
    expect(&e, "Received: from unknown (local user 1000)\r\n"
               "\tby mx.example with ESMTP id 0000000000000000;\r\n"
               "\tSat, 21 Nov 2026 18:00:03 +0000\r\n");
}

static void hostile_helo_stays_inside(void **state)
{
    struct envelope e = sample();
    e.client.helo = SPAN("x) (y\r\nBcc: z;\0<[1.2.3.4]");
    e.recipient_count = 0;
    expect(&e, "Received: from x???y??Bcc:?z???[1.2.3.4] ([192.0.2.7])\r\n"
               "\tby mx.example with ESMTP id 0000000000000000;\r\n"
               "\tSat, 21 Nov 2026 18:00:03 +0000\r\n");
}

/* Who has no address as it was written is named as he is now. */
static void an_address_that_is_the_same(void **state)
{
    struct envelope e = sample();
    e.recipients = recipients + 1;
    expect(&e, "Received: from client.example ([192.0.2.7])\r\n"
               "\tby mx.example with ESMTP id 0000000000000000\r\n"
               "\tfor <eve@a.example>;\r\n"
               "\tSat, 21 Nov 2026 18:00:03 +0000\r\n");
}

/* Whatever the client called itself: one word, of bytes that end nothing, and not too long for a
 * line (RFC 5322 2.1.1). */
static void any_helo_is_one_word(void **state)
{
    char all[256], helo[300];
    struct buffer out = BUFFER_INIT;
    struct envelope e = sample();

    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    e.client.helo = span_of(all, 128);
    assert_int_equal(received_write(&e, SPAN("mx.example"), &out), 0);
    const char *at = out.data + strlen("Received: from ");
    for (int i = 0; i < 128; i++) {
        bool plain = i > ' ' && i < 127 && !strchr("()<>\\\";,@", i);
        assert_int_equal(at[i], plain ? i : '?');
    }
    assert_int_equal(at[128], ' ');
    buffer_clear(&out);
    e.client.helo = SPAN("m\xc3\xbcller.example");
    assert_int_equal(received_write(&e, SPAN("mx.example"), &out), 0);
    assert_memory_equal(out.data, "Received: from m\xc3\xbcller.example (", 32);
    buffer_clear(&out);
    memset(helo, 'h', sizeof(helo));
    e.client.helo = span_of(helo, sizeof(helo));
    assert_int_equal(received_write(&e, SPAN("mx.example"), &out), 0);
    assert_int_equal(span_find(buffer_span(&out), '\r'),
                     strlen("Received: from ") + 255 + strlen(" ([192.0.2.7])"));
    buffer_done(&out);
}

static void addresses_of_clients(void **state)
{
    static const struct {
        const char *ip, *text;
    } cases[] = {
        {"\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff", "[255.255.255.255]"},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", "[IPv6:::1]"},
        {"\0\0\0\0\0\0\0\0\0\1\xff\xff\x7f\0\0\1", "[IPv6:::1:ffff:7f00:1]"},
        {"\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\2", "[IPv6:fe80::2]"},
    };
    char text[RECEIVED_CLIENT_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        received_format_ip((const uint8_t *)cases[i].ip, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_that_is_the_same),    cmocka_unit_test(any_helo_is_one_word),
        cmocka_unit_test(addresses_of_clients),           cmocka_unit_test(one_recipient),
        cmocka_unit_test(several_recipients_stay_secret), cmocka_unit_test(local_user),
        cmocka_unit_test(hostile_helo_stays_inside)};
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
