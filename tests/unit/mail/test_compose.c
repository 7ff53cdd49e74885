#include "../unit.h"

#include "mail/compose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void feed_lines(const char *text, bool dot_ends, size_t step, struct buffer *out)
{
    struct compose_lines c = {.dot_ends = dot_ends};
    struct span rest = span_from_cstr(text);

    while (rest.size) {
        assert_int_equal(compose_lines_feed(&c, span_first(rest, step), out), 0);
        rest = span_from(rest, step);
    }
    assert_int_equal(compose_lines_end(&c, out), 0);
}

static void line_ends(void **state)
{
    static const struct {
        const char *text;
        const char *with_dot;    /* a dot ends */
        const char *without_dot; /* -i */
    } cases[] = {
        {"", "", ""},
        {"a\nb\n", "a\r\nb\r\n", "a\r\nb\r\n"},
        {"a\r\nb", "a\r\nb\r\n", "a\r\nb\r\n"},
        {"a\rb\r\rc\r\r\n", "a\r\nb\r\n\r\nc\r\n\r\n", "a\r\nb\r\n\r\nc\r\n\r\n"},
        {"\n\n", "\r\n\r\n", "\r\n\r\n"},
        {"a\n.\nb\n", "a\r\n", "a\r\n.\r\nb\r\n"},
        {"a\n.", "a\r\n", "a\r\n.\r\n"},
        {"a\r.\rb", "a\r\n", "a\r\n.\r\nb\r\n"},
        {"..\n.a\n. \na.\n", "..\r\n.a\r\n. \r\na.\r\n", "..\r\n.a\r\n. \r\na.\r\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t step = 1; step < 6; step++) {
            struct buffer with = BUFFER_INIT, without = BUFFER_INIT;
            feed_lines(cases[i].text, true, step, &with);
            feed_lines(cases[i].text, false, step, &without);
            assert_span(buffer_span(&with), cases[i].with_dot);
            assert_span(buffer_span(&without), cases[i].without_dot);
            buffer_done(&with);
            buffer_done(&without);
        }
    }
}

static const struct compose_input usual = {
    .sender = {"alice@aaa.example", 17},
    .full_name = {"Alice", 5},
    .origin = {"aaa.example", 11},
    .message_id = {"ID@host", 7},
};

/* The message with the missing fields shown as one word each. */
static void assert_composed(const char *lines, bool extract, const char *message,
                            const char *recipients)
{
    struct compose_input in = usual;
    struct composed c;
    struct buffer list = BUFFER_INIT;

    in.lines = span_from_cstr(lines);
    in.extract = extract;
    compose_init(&c);
    assert_int_equal(compose_message(&c, &in), 0);
    assert_span(buffer_span(&c.message), message);
    for (size_t i = 0; i < c.recipient_count; i++)
        buffer_printf(&list, "%.*s ", SPAN_ARG(c.recipients[i]));
    assert_span(buffer_span(&list), recipients);
    buffer_done(&list);
    compose_done(&c);
}

#define REST "From: f@x\r\nDate: d\r\nMessage-ID: <m@x>\r\n"

static void headers(void **state)
{
    assert_composed(REST "To: b@x\r\n\r\nbody\r\n", false, REST "To: b@x\r\n\r\nbody\r\n", "");
    /* A message without a header: the body starts at once. */
    assert_composed("just text\r\n", false,
                    "From: Alice <alice@aaa.example>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
                    "Message-ID: <ID@host>\r\n\r\njust text\r\n",
                    "");
    assert_composed("", false,
                    "From: Alice <alice@aaa.example>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
                    "Message-ID: <ID@host>\r\n\r\n",
                    "");
    assert_composed("From x Sat Nov 21\r\n" REST "\r\nb\r\n", false, REST "\r\nb\r\n", "");
    assert_composed(">From x Sat Nov 21\r\n" REST "\r\nb\r\n", false, REST "\r\nb\r\n", "");
    assert_composed(REST "Return-Path: <x@y>\r\nBCC: secret@x,\r\n more@x\r\nA: 1\r\n\r\n", false,
                    REST "A: 1\r\n\r\n", "");
}

static void extracting(void **state)
{
    assert_composed(REST "To: Bob <bob@x>, carl\r\nCc: g: d@x;\r\nBcc: e@X, bob@x\r\n\r\n", true,
                    REST "To: Bob <bob@x>, carl\r\nCc: g: d@x;\r\n\r\n",
                    "bob@x carl@aaa.example d@x e@x ");
    /* A message sent on goes to whom it is sent on, not to its first recipients. */
    assert_composed(REST "To: bob@x\r\nResent-To: new@x\r\n\r\n", true,
                    REST "To: bob@x\r\nResent-To: new@x\r\n\r\n", "new@x ");
    assert_composed(REST "\r\nTo: not@header\r\n", true, REST "\r\nTo: not@header\r\n", "");
}

static void what_smtp_must_be_told(void **state)
{
    static const struct {
        const char *lines;
        bool eight_bit, smtputf8;
    } cases[] = {
        {REST "\r\nplain\r\n", false, false},
        {REST "\r\nGr\xc3\xbc\xc3\x9f"
              "e\r\n",
         true, false},
        {REST "Subject: Gr\xc3\xbc\xc3\x9f"
              "e\r\n\r\n",
         true, true},
        {REST "Subject: Gr\xfc\xdf"
              "e\r\n\r\n",
         true, false},
        {REST "To: j\xc3\xbcrgen@x\r\n\r\n", true, true},
        /* Marks of the reading direction are as good as any character; a surrogate is none. */
        {REST "Subject: \xd7\xa9\xe2\x80\x8f!\r\n\r\n", true, true},
        {REST "Subject: \xed\xa0\x80\r\n\r\n", true, false},
        {REST "Subject: \xc3\xbc \xfc\r\n\r\n", true, false},
        {REST "\r\n\xfc\r\n", true, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct compose_input in = usual;
        struct composed c;
        in.lines = span_from_cstr(cases[i].lines);
        in.extract = true;
        compose_init(&c);
        assert_int_equal(compose_message(&c, &in), 0);
        assert_true(c.eight_bit == cases[i].eight_bit);
        assert_true(c.smtputf8 == cases[i].smtputf8);
        compose_done(&c);
    }
}

/* Who has neither name nor address: a bounce, or a daemon. */
static void a_message_from_nobody(void **state)
{
    struct compose_input in = usual;
    struct composed c;

    in.sender = in.full_name = SPAN("");
    in.lines = SPAN("Subject: x\r\n\r\nb\r\n");
    compose_init(&c);
    assert_int_equal(compose_message(&c, &in), 0);
    assert_span(buffer_span(&c.message),
                "Subject: x\r\nFrom: <MAILER-DAEMON@aaa.example>\r\n"
                "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <ID@host>\r\n\r\nb\r\n");
    compose_done(&c);
}

/* Each is kept, in its place, however the list grows; what is bad is told of the field it is in. */
static void many_recipients_in_a_header(void **state)
{
    struct compose_input in = usual;
    struct composed c;
    struct buffer lines = BUFFER_INIT;
    char address[20];

    buffer_append_span(&lines, SPAN(REST "To: u0@x"));
    for (int i = 1; i < 100; i++)
        buffer_printf(&lines, ",\r\n u%d@x, u%d@X", i, i / 2);
    buffer_append_span(&lines, SPAN("\r\n\r\n"));
    in.lines = buffer_span(&lines);
    in.extract = true;
    compose_init(&c);
    assert_int_equal(compose_message(&c, &in), 0);
    assert_int_equal(c.recipient_count, 100);
    for (int i = 0; i < 100; i++) {
        snprintf(address, sizeof(address), "u%d@x", i);
        assert_span(c.recipients[i], address);
    }
    compose_done(&c);
    in.lines = SPAN(REST "To: bob@x\r\nCc: two words\r\nBcc: eve@x\r\n\r\n");
    compose_init(&c);
    assert_int_equal(compose_message(&c, &in), -EINVAL);
    assert_span(buffer_span(&c.bad), "two words");
    in.extract = false; /* then it is only text */
    compose_done(&c);
    compose_init(&c);
    assert_int_equal(compose_message(&c, &in), 0);
    compose_done(&c);
    buffer_done(&lines);
}

static void bad_addresses(void **state)
{
    static const struct {
        const char *list;
        int result;
        const char *bad;
    } cases[] = {
        {"bob", 0, ""},
        {"bob, two words", -EINVAL, "two words"},
        {"a@b@c", -EINVAL, "a@b@c"},
        {"<>", -EINVAL, "<>"},
        {"x@y\x01z", -EINVAL, "x@y\x01z"},
        {"\"a\r\nRCPT TO:<b@c>\"@x", -EINVAL, "\"a\r\nRCPT TO:<b@c>\"@x"},
        {"\"no end <x\r\n", -EINVAL, "\"no end <x"},
        {"bob@", -EINVAL, "bob@"},
        {"@x", -EINVAL, "@x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct composed c;
        compose_init(&c);
        print_message("%s\n", cases[i].list);
        assert_int_equal(
            compose_add_recipients(&c, span_from_cstr(cases[i].list), SPAN("aaa.example")),
            cases[i].result);
        assert_span(buffer_span(&c.bad), cases[i].bad);
        compose_done(&c);
    }
}

static void too_many_recipients(void **state)
{
    struct composed c;
    struct buffer list = BUFFER_INIT;

    compose_init(&c);
    for (int i = 0; i <= COMPOSE_RECIPIENTS_MAX; i++)
        buffer_printf(&list, "u%d@x,", i);
    assert_int_equal(compose_add_recipients(&c, buffer_span(&list), SPAN("y")), -E2BIG);
    assert_int_equal(c.recipient_count, COMPOSE_RECIPIENTS_MAX);
    buffer_done(&list);
    compose_done(&c);
}

static void senders(void **state)
{
    struct composed c;
    struct span out;

    compose_init(&c);
    assert_int_equal(compose_address(&c, SPAN(""), SPAN("x"), &out), 0);
    assert_int_equal(out.size, 0);
    assert_int_equal(compose_address(&c, SPAN("<>"), SPAN("x"), &out), 0);
    assert_int_equal(out.size, 0);
    assert_int_equal(compose_address(&c, SPAN("root"), SPAN("X.example"), &out), 0);
    assert_span(out, "root@x.example");
    assert_int_equal(compose_address(&c, SPAN("a b"), SPAN("x"), &out), -EINVAL);
    assert_span(buffer_span(&c.bad), "a b");
    assert_int_equal(compose_address(&c, SPAN("c d"), SPAN("x"), &out), -EINVAL);
    assert_span(buffer_span(&c.bad), "c d");
    assert_false(c.smtputf8);
    assert_int_equal(compose_address(&c, SPAN("j\xc3\xbcrgen"), SPAN("x"), &out), 0);
    assert_span(out, "j\xc3\xbcrgen@x");
    assert_true(c.smtputf8); /* a sender's address needs it as any other */
    compose_done(&c);
}

/* On sendmail's command line they may be written as recipients are. */
static void senders_as_people_write_them(void **state)
{
    static const struct {
        const char *text, *sender; /* NULL: -EINVAL */
    } cases[] = {
        {"", ""},
        {"<>", ""},
        {"a@b", "a@b"},
        {"<a@b>", "a@b"},
        {"Some Name <a@b>", "a@b"},
        {"\"Name, Some\" <a@B.example>", "a@b.example"},
        {"<root>", "root@x"},
        {"a@b (Some Name)", "a@b"},
        {"a@b, c@d", NULL},
        {"<a@b>, <c@d>", NULL},
        {"Some Name", NULL},
        {"<a@b", NULL},
        {"(nobody)", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct composed c;
        struct span out;

        compose_init(&c);
        print_message("%s\n", cases[i].text);
        int r = compose_sender(&c, span_from_cstr(cases[i].text), SPAN("x"), &out);
        assert_int_equal(r, cases[i].sender ? 0 : -EINVAL);
        if (r == 0)
            assert_span(out, cases[i].sender);
        assert_span(buffer_span(&c.bad), r == 0 ? "" : cases[i].text);
        compose_done(&c);
    }
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends),
        cmocka_unit_test(headers),
        cmocka_unit_test(extracting),
        cmocka_unit_test(what_smtp_must_be_told),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(a_message_from_nobody),
        cmocka_unit_test(many_recipients_in_a_header),
        cmocka_unit_test(too_many_recipients),
        cmocka_unit_test(senders),
        cmocka_unit_test(senders_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
