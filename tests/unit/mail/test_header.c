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
    {"Received\t: x\r\n\r\n", 1, 1, true, ""},
    {"Received : x\r\n\r\n", 1, 1, true, ""},
    {"Recei ved: x\r\n\r\n", 1, 0, true, ""},
    {"A-name-much-longer-than-received: x\r\nReceived: y\r\n\r\n", 2, 1, true, ""},
    {"Received-and-some-more-letters: x\r\n\r\n", 1, 0, true, ""},
    {": no name\r\nReceived: x\r\n", 0, 0, true, ""},
    {"Sub\x7fject: x\r\nReceived: x\r\n", 0, 0, true, ""},
    {"Subject\r\nReceived: x\r\n", 0, 0, true, ""},
    {"A: b\r\n\rReceived: x\r\n", 1, 0, true, ""},
    {"A: b\n \n\tc\nReceived: x\n\n", 2, 1, true, ""},
    {"Message-ID: <a@b\x7f>\r\n\r\n", 1, 0, true, ""},
    {"Message-ID: <a@b\t>\r\n\r\n", 1, 0, true, ""},
    {"Message-ID: >x<a@b>\r\n\r\n", 1, 0, true, "<a@b>"},
    {"Message-ID: \r\nMessage-ID: <late@x>\r\n\r\n", 2, 0, true, ""},
    {"Message-ID: <a@b>\r\n\tand more\r\nX: <c@d>\r\n\r\n", 2, 0, true, "<a@b>"},
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

/* A scan is used for one message after the other: nothing of the last one stays. */
static void a_scan_is_used_again(void **state)
{
    struct header_scan scan;

    memset(&scan, 0xff, sizeof(scan));
    for (int round = 0; round < 2; round++) {
        header_scan_init(&scan);
        assert_false(header_scan_ended(&scan));
        assert_int_equal(header_scan_message_id(&scan).size, 0);
        header_scan_feed(&scan, SPAN("Received: x\r\nMessage-ID: <a@b>\r\n\r\nbody"));
        assert_int_equal(scan.fields, 2);
        assert_int_equal(scan.received, 1);
        assert_int_equal(scan.bytes, 34);
        assert_true(header_scan_ended(&scan));
        assert_span(header_scan_message_id(&scan), "<a@b>");
    }
    header_scan_init(&scan);
    header_scan_feed(&scan, SPAN("R"));
    header_scan_init(&scan); /* in the middle of a name */
    header_scan_feed(&scan, SPAN("eceived: x\r\n"));
    assert_int_equal(scan.received, 0);
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
                                       cmocka_unit_test(a_scan_is_used_again),
                                       cmocka_unit_test(long_message_id_is_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
