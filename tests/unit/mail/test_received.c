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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_recipient), cmocka_unit_test(several_recipients_stay_secret),
        cmocka_unit_test(local_user), cmocka_unit_test(hostile_helo_stays_inside)};
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
