#include "../unit.h"

#include "mail/header.h"

static const struct {
    const char *text;
    unsigned fields, received;
    bool ended;
    const char *message_id;
} cases[] = {
    {"Received: x\r\n\tby y\r\nreceived: z\r\nMessage-ID: <a@b>\r\n\r\nReceived: no\r\n", 3, 2,
     true, "<a@b>"},
    {"Message-Id:\r\n <folded@b> \r\nSubject: x\r\n\r\n", 2, 0, true, "<folded@b>"},
    {"MESSAGE-ID : <old@style>\n\n", 1, 0, true, "<old@style>"},
    {"Message-ID: (no) <c@d> (yes)\r\n", 1, 0, false, "<c@d>"},
    {"Message-ID: <first@x>\r\nMessage-ID: <second@x>\r\n\r\n", 2, 0, true, "<first@x>"},
    {"Message-ID: <in two@x>\r\n\r\n", 1, 0, true, ""},
    {"Message-ID: <esc\x1b[2J@x>\r\n\r\n", 1, 0, true, ""},
    {"Message-ID: none\r\n\r\n", 1, 0, true, ""},
    {"Message-ID: <open\r\n\r\n", 1, 0, true, ""},
    {"X-Message-ID: <x@x>\r\n\r\n", 1, 0, true, ""},
    {"Message-ID-X: <x@x>\r\n\r\n", 1, 0, true, ""},
    {"Received-SPF: x\r\n\r\n", 1, 0, true, ""},
    {"From someone Sat Nov 21\r\nReceived: x\r\n", 0, 0, true, ""},
    {"no header at all\r\nReceived: x\r\n", 0, 0, true, ""},
    {"\r\nReceived: x\r\n", 0, 0, true, ""},
    {" Received: x\r\n", 0, 0, true, ""},
    {"Subject: \xc3\xbc\r\n \xff\r\nReceived: x\r\n", 2, 1, false, ""},
    {"", 0, 0, false, ""},
};

static void check(const struct header_scan *scan, size_t i)
{
    if (scan->fields != cases[i].fields)
        print_error("case %zu\n", i);
    assert_int_equal(scan->fields, cases[i].fields);
    assert_int_equal(scan->received, cases[i].received);
    assert_int_equal(header_scan_ended(scan), cases[i].ended);
    assert_span(header_scan_message_id(scan), cases[i].message_id);
}

static void in_any_pieces(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span text = span_from_cstr(cases[i].text);
        for (size_t step = 1; step <= text.size + 1; step++) {
            struct header_scan scan;
            header_scan_init(&scan);
            for (size_t at = 0; at < text.size; at += step)
                header_scan_feed(&scan, span_first(span_from(text, at), step));
            check(&scan, i);
        }
    }
}

static void long_message_id_is_cut(void **state)
{
    struct header_scan scan;
    char line[3000];

    memset(line, 'a', sizeof(line));
    memcpy(line, "Message-ID: <", 13);
    header_scan_init(&scan);
    header_scan_feed(&scan, span_of(line, sizeof(line)));
    assert_int_equal(scan.message_id_size, HEADER_MESSAGE_ID_MAX);
    assert_int_equal(header_scan_message_id(&scan).size, 0);
    assert_int_equal(scan.bytes, sizeof(line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_any_pieces),
                                       cmocka_unit_test(long_message_id_is_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
