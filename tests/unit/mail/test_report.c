#include "../unit.h"

#include "mail/report.h"
#include "mail/report_text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct report_recipient unknown = {
    .address = {"nobody@far.test", 15},
    .status = {"5.1.1", 5},
    .host = {"mx.far.test", 11},
    .reply = {"550-5.1.1 no such user\n550 5.1.1 sorry", 38},
    .last_attempt_us = INT64_C(1795284003000000)};

static const struct report failed = {.kind = REPORT_FAILED,
                                     .id = {{1}},
                                     .now_us = INT64_C(1795284003000000),
                                     .hostname = {"mail.near.test", 14},
                                     .original_id = {{2}},
                                     .sender = {"alice@near.test", 15},
                                     .arrival_us = INT64_C(1795284000000000),
                                     .header = {"From: alice\r\nSubject: Hello there\r\n", 35},
                                     .recipients = &unknown,
                                     .recipient_count = 1};

static char *written(const struct report *report, struct report_made *made)
{
    struct buffer out = BUFFER_INIT;
    assert_int_equal(report_write(report, &out, made), 0);
    buffer_append_byte(&out, '\0');
    return out.data;
}

#define assert_has(text, part) assert_non_null(strstr(text, part))
#define assert_has_not(text, part) assert_null(strstr(text, part))

/* No bare CR or LF, no line over 998. */
static void assert_is_fit_for_smtp(const char *text)
{
    size_t line = 0;
    for (const char *at = text; *at; at++) {
        assert_true((*at == '\r') == (at[1] == '\n'));
        line = *at == '\n' ? 0 : line + 1;
        assert_true(line <= 999);
    }
}

static void a_failure(void **state)
{
    struct report_made made;
    char *text = written(&failed, &made);

    assert_is_fit_for_smtp(text);
    assert_has(text, "From: Mail Delivery System <postmaster@mail.near.test>\r\n");
    assert_has(text, "To: <alice@near.test>\r\n");
    assert_has(text, "Auto-Submitted: auto-replied\r\n");
    assert_has(text, "multipart/report; report-type=delivery-status");
    assert_has(text, "\r\nYour message was not delivered");
    assert_has(text, "This address does not exist.");
    assert_has(text, "> 550-5.1.1 no such user\r\n    > 550 5.1.1 sorry\r\n");
    assert_has(text, "Reporting-MTA: dns; mail.near.test\r\n");
    assert_has(text,
               "Final-Recipient: rfc822;nobody@far.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
               "Remote-MTA: dns; mx.far.test\r\n"
               "Diagnostic-Code: smtp; 550-5.1.1 no such user 550 5.1.1 sorry\r\n");
    assert_has(text, "Content-Type: text/rfc822-headers");
    assert_has(text, "\r\n\r\nFrom: alice\r\nSubject: Hello there\r\n--");
    assert_false(made.eight_bit || made.smtputf8);
    free(text);
}

static void a_delay_in_german(void **state)
{
    struct report report = failed;
    struct report_made made;

    report.kind = REPORT_DELAYED;
    report.language = REPORT_GERMAN;
    report.until_us = INT64_C(1795284003000000);
    char *text = written(&report, &made);
    assert_is_fit_for_smtp(text);
    assert_has(text, "Ihre Nachricht ist noch nicht zugestellt. Sie m=C3=BCssen nichts tun");
    assert_has(text, "Action: delayed\r\n");
    assert_has(text, "Will-Retry-Until: Sat, 21 Nov 2026 19:00:03 +0100\r\n");
    free(text);
}

static void our_own_words_are_nobodys_reply(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    recipient.host = SPAN("");
    recipient.reply = SPAN("the domain far.test does not exist");
    report.recipients = &recipient;
    char *text = written(&report, &made);
    assert_has(text, "\r\n    the domain far.test does not exist\r\n");
    assert_has(text, "Diagnostic-Code: X-Postbuch; the domain far.test does not exist\r\n");
    assert_has_not(text, "said:");
    free(text);
}

/* Strangers' words start neither a field nor a line nor a part. */
static void hostile_words(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    recipient.reply = SPAN("550 x\r\nBcc: victim@x.test\r\n--=_report\r\n\x1b[2J");
    recipient.host = SPAN("mx\r\nX-Forged: y");
    recipient.why = SPAN("a\nb");
    recipient.address = SPAN("n\r\nX-Forged: z@far.test");
    report.recipients = &recipient;
    char *text = written(&report, &made);
    assert_is_fit_for_smtp(text);
    assert_has_not(text, "\r\nBcc:");
    assert_has_not(text, "\r\nX-Forged");
    assert_has_not(text, "\n--=_report\r");
    assert_has_not(text, "\x1b");
    free(text);
}

static void what_it_needs(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    report.header = SPAN("Subject: gr\xc3\xbc\xc3\x9f\x65\r\n");
    free(written(&report, &made));
    assert_true(made.eight_bit);
    assert_false(made.smtputf8);
    recipient.address = SPAN("j\xc3\xbcrgen@far.test");
    report.recipients = &recipient;
    char *text = written(&report, &made);
    assert_true(made.eight_bit && made.smtputf8);
    assert_has(text, "message/global-delivery-status");
    assert_has(text, "Final-Recipient: utf-8;j\xc3\xbcrgen@far.test\r\n");
    free(text);
}

/* A station may answer in any bytes: the report stays 7-bit all the same. */
static void replies_beyond_ascii_need_nothing(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    recipient.reply = SPAN("550 5.1.1 unbekannter Empf\xc3\xa4nger");
    report.recipients = &recipient;
    char *text = written(&report, &made);
    assert_false(made.eight_bit || made.smtputf8);
    assert_has(text, "unbekannter Empf\\xc3\\xa4nger\r\n");
    for (const char *c = text; *c; c++)
        assert_true((unsigned char)*c < 128);
    free(text);
}

static void a_long_header_is_cut_at_a_line(void **state)
{
    struct report report = failed;
    struct report_made made;
    struct buffer header = BUFFER_INIT;

    while (header.size < 2 * (size_t)REPORT_HEADER_MAX)
        buffer_printf(&header, "X-Filler: some text of a line\r\n");
    report.header = buffer_span(&header);
    char *text = written(&report, &made);
    assert_is_fit_for_smtp(text);
    assert_true(strlen(text) < REPORT_HEADER_MAX + 4000);
    free(text);
    buffer_done(&header);
}

/* As many recipients as may be, all quoting the longest and worst of words. */
/* With few recipients whatever is quoted; with many it is refused, so that several are made. */
static void the_largest_fits_the_spool(void **state)
{
    static char worst[4096];
    struct buffer out = BUFFER_INIT;
    struct report_recipient recipients[REPORT_RECIPIENTS_MAX];
    struct report report = failed;
    struct report_made made;
    struct buffer header = BUFFER_INIT;

    memset(worst, 0x01, sizeof(worst));
    while (header.size < REPORT_HEADER_MAX)
        buffer_printf(&header, "X-Filler: some text of a line\r\n");
    for (size_t i = 0; i < REPORT_RECIPIENTS_MAX; i++)
        recipients[i] = (struct report_recipient){.address = {worst, 512},
                                                  .original = {worst, 512},
                                                  .status = {worst, 16},
                                                  .host = {worst, 1024},
                                                  .reply = {worst, 4096},
                                                  .why = {worst, 2048},
                                                  .last_attempt_us = 1};
    report.header = buffer_span(&header);
    report.recipients = recipients;
    report.recipient_count = REPORT_RECIPIENTS_MAX;
    assert_int_equal(report_write(&report, &out, &made), -EMSGSIZE);
    assert_int_equal(out.size, 0);
    buffer_done(&out);
    report.recipient_count = REPORT_RECIPIENTS_SURE;
    char *text = written(&report, &made);
    assert_is_fit_for_smtp(text);
    assert_true(strlen(text) <= REPORT_BYTES_MAX);
    free(text);
    buffer_done(&header);
}

/* The usual case of a large list: all for the same reason, which is told once. */
static void many_recipients_share_a_report(void **state)
{
    struct report_recipient recipients[REPORT_RECIPIENTS_MAX];
    char addresses[REPORT_RECIPIENTS_MAX][40];
    struct report report = failed;
    struct report_made made;
    size_t told = 0;

    for (size_t i = 0; i < REPORT_RECIPIENTS_MAX; i++) {
        recipients[i] = unknown;
        snprintf(addresses[i], sizeof(addresses[i]), "member.number%zu@far.test", i);
        recipients[i].address = span_from_cstr(addresses[i]);
    }
    report.recipients = recipients;
    report.recipient_count = REPORT_RECIPIENTS_MAX;
    char *text = written(&report, &made);
    assert_is_fit_for_smtp(text);
    for (const char *at = text; (at = strstr(at, "This address does not exist.")); at++)
        told++;
    assert_int_equal(told, 1);
    assert_has(text, "Final-Recipient: rfc822;member.number0@far.test\r\n");
    assert_has(text, "Final-Recipient: rfc822;member.number199@far.test\r\n");
    free(text);
}

/* What the sender calls message and recipient comes back to him as he meant it (RFC 3464). */
static void names_of_the_sender(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    recipient.original = SPAN("bob@near.test");
    recipient.orcpt = SPAN("rfc822;Bob+2Bx@near.test");
    report.recipients = &recipient;
    report.envelope_id = SPAN("QQ+2B1");
    char *text = written(&report, &made);
    assert_has(text, "\r\nOriginal-Envelope-Id: QQ+1\r\n");
    assert_has(text, "\r\nOriginal-Recipient: rfc822;Bob+x@near.test\r\nFinal-Recipient:");
    assert_has_not(text, "bob@near.test");
    free(text);
    recipient.orcpt = SPAN("utf-8;j\xc3\xbcrgen@near.test");
    text = written(&report, &made);
    assert_has(text, "message/global-delivery-status");
    assert_has(text, "Original-Recipient: utf-8;j\xc3\xbcrgen@near.test\r\n");
    assert_true(made.smtputf8);
    free(text);
}

static void the_whole_message(void **state)
{
    struct report report = failed;
    struct report_made made;
    struct buffer message = BUFFER_INIT;

    report.whole = true;
    report.header = SPAN("Subject: Hello\r\n\r\nLine one\r\n");
    char *text = written(&report, &made);
    assert_has(text, "Content-Type: message/rfc822\r\n");
    assert_has(text, "\r\n\r\nSubject: Hello\r\n\r\nLine one\r\n--=_");
    assert_has(text, "\r\n    Hello\r\n");
    free(text);
    /* One that can't be had along with all else is cut to its header. */
    buffer_append_span(&message, report.header);
    while (message.size < REPORT_BYTES_MAX)
        buffer_append_span(&message, SPAN("more text\r\n"));
    report.header = buffer_span(&message);
    text = written(&report, &made);
    assert_has(text, "Content-Type: text/rfc822-headers\r\n");
    assert_has_not(text, "Line one");
    free(text);
    buffer_done(&message);
}

/* A message may begin with its body (RFC 5322 3.5): that has no subject, and is no header. */
static void a_message_without_a_header(void **state)
{
    struct report report = failed;
    struct report_made made;

    report.header = SPAN("\r\nSubject: of the body\r\n\r\nmore\r\n");
    char *text = written(&report, &made);
    assert_is_fit_for_smtp(text);
    assert_has_not(text, "of the body");
    free(text);
    report.whole = true;
    text = written(&report, &made);
    assert_has_not(text, "    of the body");
    assert_has(text, "message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
                     "\r\nSubject: of the body\r\n\r\nmore\r\n--");
    free(text);
    report.header = SPAN("From: alice\r\n\r\nSubject: of the body\r\n");
    text = written(&report, &made);
    assert_has_not(text, "    of the body");
    free(text);
}

static void what_was_meant_and_the_last_notice(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    recipient.status = SPAN("5.1.2");
    recipient.instead = SPAN("nobody@farr.test");
    report.recipients = &recipient;
    char *text = written(&report, &made);
    assert_has(text, "Did you perhaps mean nobody@farr.test?");
    free(text);
    recipient.instead = SPAN("");
    recipient.status = SPAN("5.4.7");
    recipient.expired = true;
    report.language = REPORT_GERMAN;
    text = written(&report, &made);
    assert_has(text, "Status: 5.4.7\r\n");
    assert_has(text, "Seit Sat, 21 Nov");
    assert_has(text, "ist die letzte");
    free(text);
}

static void nothing_to_nobody(void **state)
{
    struct report report = failed;
    struct report_made made;
    struct buffer out = BUFFER_INIT;

    report.sender = SPAN("");
    assert_int_equal(report_write(&report, &out, &made), -EINVAL);
    report = failed;
    report.recipient_count = 0;
    assert_int_equal(report_write(&report, &out, &made), -EINVAL);
    buffer_done(&out);
}

static void explanations(void **state)
{
    static const struct {
        const char *status, *part;
    } cases[] = {{"5.1.1", "does not exist"}, {"4.2.2", "is full"},
                 {"5.7.26", "by its rules"},  {"5.1.10", "takes no mail"},
                 {"5.1.99", "this address"},  {"5.9.9", "did not take"},
                 {"garbage", "did not take"}, {"", "did not take"},
                 {"5.1", "did not take"},     {"4.1.8", "wrong with this address"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_has(report_explain(span_from_cstr(cases[i].status), REPORT_ENGLISH), cases[i].part);
    assert_has(report_explain(SPAN("5.1.1"), REPORT_GERMAN), "gibt es nicht");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_failure),
                                       cmocka_unit_test(a_delay_in_german),
                                       cmocka_unit_test(our_own_words_are_nobodys_reply),
                                       cmocka_unit_test(hostile_words),
                                       cmocka_unit_test(what_it_needs),
                                       cmocka_unit_test(replies_beyond_ascii_need_nothing),
                                       cmocka_unit_test(nothing_to_nobody),
                                       cmocka_unit_test(the_largest_fits_the_spool),
                                       cmocka_unit_test(explanations),
                                       cmocka_unit_test(many_recipients_share_a_report),
                                       cmocka_unit_test(names_of_the_sender),
                                       cmocka_unit_test(the_whole_message),
                                       cmocka_unit_test(a_message_without_a_header),
                                       cmocka_unit_test(what_was_meant_and_the_last_notice),
                                       cmocka_unit_test(a_long_header_is_cut_at_a_line)};
    setenv("TZ", "CET-1", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
