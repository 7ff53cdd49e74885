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
    assert_false(made.eight_bit || made.smtputf8);
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
    for (size_t i = 0; i < 2; i++) {
        char *text = written(&report, &made);
        assert_is_fit_for_smtp(text);
        assert_true(strlen(text) <= REPORT_BYTES_MAX);
        free(text);
        for (size_t at = 0; at < header.size; at++) /* in quoted-printable three times as long */
            header.data[at] = header.data[at] > '\r' ? (char)0xe4 : header.data[at];
    }
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

static void assert_whole(const struct report *report, const char *expected)
{
    struct report_made made;
    char *text = written(report, &made);

    assert_string_equal(text, expected);
    free(text);
}

/* All of a report, word for word: as its reader sees it (RFC 3464, RFC 6522). */
static void a_failure_as_it_is_read(void **state)
{
    const struct report_recipient recipients[] = {
        {.address = SPAN("nobody@far.test"),
         .status = SPAN("5.1.1"),
         .host = SPAN("mx.far.test"),
         .reply = SPAN("550-5.1.1 no such user\n550 5.1.1 sorry"),
         .original = SPAN("old@near.test"),
         .last_attempt_us = INT64_C(1795284003000000)},
        {.address = SPAN("nobody.else@far.test"),
         .status = SPAN("5.1.1"),
         .host = SPAN("mx.far.test"),
         .reply = SPAN("550-5.1.1 no such user\n550 5.1.1 sorry"),
         .orcpt = SPAN("rfc822;Else+2Bx@near.test"),
         .last_attempt_us = INT64_C(1795284003000000)},
        {.address = SPAN("bob@slow.test"),
         .why = SPAN("no host of slow.test could be reached"),
         .end = REPORT_END_EXPIRED,
         .last_attempt_us = INT64_C(1795284002000000)},
        {.address = SPAN("eve@typo.test"),
         .status = SPAN("5.1.2"),
         .reply = SPAN("the domain typo.test does not exist"),
         .instead = SPAN("eve@type.test")},
    };
    struct report report = failed;

    report.arrival_us = INT64_C(1795280000000000);
    report.header = SPAN("From: alice\r\nSubject: Hello there\r\nX: y\r\n");
    report.envelope_id = SPAN("QQ+2B1");
    report.recipients = recipients;
    report.recipient_count = ARRAY_SIZE(recipients);
    report.postmaster = SPAN("help@near.test");
    assert_whole(&report,
                 "Date: Sat, 21 Nov 2026 19:00:03 +0100\r\n"
                 "From: Mail Delivery System <help@near.test>\r\n"
                 "To: <alice@near.test>\r\n"
                 "Subject: Undelivered: your message could not be delivered\r\n"
                 "Message-ID: <0400000000000000@mail.near.test>\r\n"
                 "Auto-Submitted: auto-replied\r\n"
                 "MIME-Version: 1.0\r\n"
                 "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                 "\tboundary=\"=_0400000000000000_report\"\r\n"
                 "\r\n"
                 "--=_0400000000000000_report\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: quoted-printable\r\n"
                 "\r\n"
                 "Your message was not delivered to the recipients below, and no further\r\n"
                 "attempt will be made. Below each is why, and who can do something about\r\n"
                 "it.\r\n"
                 "\r\n"
                 "nobody@far.test\r\n"
                 "nobody.else@far.test\r\n"
                 "    This address does not exist. Please check how it is spelt, or ask\r\n"
                 "    the recipient for the right one; sending again to the same address\r\n"
                 "    will not help.\r\n"
                 "    The server mx.far.test said:\r\n"
                 "    > 550-5.1.1 no such user\r\n"
                 "    > 550 5.1.1 sorry\r\n"
                 "\r\n"
                 "bob@slow.test\r\n"
                 "    No attempt to deliver it has succeeded.\r\n"
                 "    The time for attempts is up: none has succeeded since Sat, 21 Nov\r\n"
                 "    2026 17:53:20 +0100. This is the last notice.\r\n"
                 "    no host of slow.test could be reached\r\n"
                 "\r\n"
                 "eve@typo.test\r\n"
                 "    The part of the address behind the @ does not exist. Please check\r\n"
                 "    how it is spelt.\r\n"
                 "    Did you perhaps mean eve@type.test?\r\n"
                 "    the domain typo.test does not exist\r\n"
                 "\r\n"
                 "Your message: 0800000000000000, Sat, 21 Nov 2026 17:53:20 +0100\r\n"
                 "    Hello there\r\n"
                 "\r\n"
                 "Questions? Write to help@near.test and quote the id above; with it, the\r\n"
                 "way of your message can be looked up.\r\n"
                 "\r\n"
                 "--=_0400000000000000_report\r\n"
                 "Content-Type: message/delivery-status\r\n"
                 "Content-Transfer-Encoding: 7bit\r\n"
                 "\r\n"
                 "Original-Envelope-Id: QQ+1\r\n"
                 "Reporting-MTA: dns; mail.near.test\r\n"
                 "X-Postbuch-Id: 0800000000000000\r\n"
                 "Arrival-Date: Sat, 21 Nov 2026 17:53:20 +0100\r\n"
                 "\r\n"
                 "Original-Recipient: rfc822;old@near.test\r\n"
                 "Final-Recipient: rfc822;nobody@far.test\r\n"
                 "Action: failed\r\n"
                 "Status: 5.1.1\r\n"
                 "Remote-MTA: dns; mx.far.test\r\n"
                 "Diagnostic-Code: smtp; 550-5.1.1 no such user 550 5.1.1 sorry\r\n"
                 "Last-Attempt-Date: Sat, 21 Nov 2026 19:00:03 +0100\r\n"
                 "\r\n"
                 "Original-Recipient: rfc822;Else+x@near.test\r\n"
                 "Final-Recipient: rfc822;nobody.else@far.test\r\n"
                 "Action: failed\r\n"
                 "Status: 5.1.1\r\n"
                 "Remote-MTA: dns; mx.far.test\r\n"
                 "Diagnostic-Code: smtp; 550-5.1.1 no such user 550 5.1.1 sorry\r\n"
                 "Last-Attempt-Date: Sat, 21 Nov 2026 19:00:03 +0100\r\n"
                 "\r\n"
                 "Final-Recipient: rfc822;bob@slow.test\r\n"
                 "Action: failed\r\n"
                 "Status: 5.0.0\r\n"
                 "Diagnostic-Code: X-Postbuch; no host of slow.test could be reached\r\n"
                 "Last-Attempt-Date: Sat, 21 Nov 2026 19:00:02 +0100\r\n"
                 "\r\n"
                 "Final-Recipient: rfc822;eve@typo.test\r\n"
                 "Action: failed\r\n"
                 "Status: 5.1.2\r\n"
                 "Diagnostic-Code: X-Postbuch; the domain typo.test does not exist\r\n"
                 "\r\n"
                 "--=_0400000000000000_report\r\n"
                 "Content-Type: text/rfc822-headers\r\n"
                 "Content-Transfer-Encoding: 7bit\r\n"
                 "\r\n"
                 "From: alice\r\n"
                 "Subject: Hello there\r\n"
                 "X: y\r\n"
                 "--=_0400000000000000_report--\r\n");
}

static void a_delay_as_it_is_read(void **state)
{
    const struct report_recipient recipient = {.address = SPAN("bob@slow.test"),
                                               .why = SPAN("no host of slow.test could be reached"),
                                               .last_attempt_us = INT64_C(1795284002000000)};
    struct report report = failed;

    report.kind = REPORT_DELAYED;
    report.arrival_us = INT64_C(1795280000000000);
    report.until_us = INT64_C(1795684003000000);
    report.header = SPAN("From: alice");
    report.recipients = &recipient;
    assert_whole(&report,
                 "Date: Sat, 21 Nov 2026 19:00:03 +0100\r\n"
                 "From: Mail Delivery System <postmaster@mail.near.test>\r\n"
                 "To: <alice@near.test>\r\n"
                 "Subject: Delayed: your message is still waiting\r\n"
                 "Message-ID: <0400000000000000@mail.near.test>\r\n"
                 "Auto-Submitted: auto-replied\r\n"
                 "MIME-Version: 1.0\r\n"
                 "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                 "\tboundary=\"=_0400000000000000_report\"\r\n"
                 "\r\n"
                 "--=_0400000000000000_report\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: quoted-printable\r\n"
                 "\r\n"
                 "Your message has not been delivered yet. You need not do anything: this\r\n"
                 "server goes on trying, and tells you if it has to give up.\r\n"
                 "\r\n"
                 "bob@slow.test\r\n"
                 "    No attempt to deliver it has succeeded.\r\n"
                 "    no host of slow.test could be reached\r\n"
                 "\r\n"
                 "Your message: 0800000000000000, Sat, 21 Nov 2026 17:53:20 +0100\r\n"
                 "Attempts go on until Thu, 26 Nov 2026 10:06:43 +0100.\r\n"
                 "\r\n"
                 "Questions? Write to postmaster@mail.near.test and quote the id above;\r\n"
                 "with it, the way of your message can be looked up.\r\n"
                 "\r\n"
                 "--=_0400000000000000_report\r\n"
                 "Content-Type: message/delivery-status\r\n"
                 "Content-Transfer-Encoding: 7bit\r\n"
                 "\r\n"
                 "Reporting-MTA: dns; mail.near.test\r\n"
                 "X-Postbuch-Id: 0800000000000000\r\n"
                 "Arrival-Date: Sat, 21 Nov 2026 17:53:20 +0100\r\n"
                 "\r\n"
                 "Final-Recipient: rfc822;bob@slow.test\r\n"
                 "Action: delayed\r\n"
                 "Status: 4.0.0\r\n"
                 "Diagnostic-Code: X-Postbuch; no host of slow.test could be reached\r\n"
                 "Last-Attempt-Date: Sat, 21 Nov 2026 19:00:02 +0100\r\n"
                 "Will-Retry-Until: Thu, 26 Nov 2026 10:06:43 +0100\r\n"
                 "\r\n"
                 "--=_0400000000000000_report\r\n"
                 "Content-Type: text/rfc822-headers\r\n"
                 "Content-Transfer-Encoding: 7bit\r\n"
                 "\r\n"
                 "From: alice\r\n"
                 "--=_0400000000000000_report--\r\n");
}

/* What a person reads of it, with its lines joined. */
static void assert_told_of_delay(const struct report_recipient *recipient,
                                 enum report_language language, const char *part)
{
    struct report report = failed;
    struct report_made made;

    report.kind = REPORT_DELAYED;
    report.language = language;
    report.recipients = recipient;
    char *text = written(&report, &made), *to = text;
    for (const char *at = text; *at;) {
        size_t gap = strspn(at, "\r\n ");
        if (gap)
            *to++ = ' ';
        at += gap;
        while (*at && !strchr("\r\n ", *at))
            *to++ = *at++;
    }
    *to = '\0';
    assert_has(text, part);
    free(text);
}

/* A delay blames a server only for what a server said, and tells nobody to do what he need not. */
static void a_delay_blames_nobody_in_vain(void **state)
{
    static const struct {
        struct span status, reply;
        const char *part, *german;
    } cases[] = {
        {SPAN(""), SPAN("can't connect to [192.0.2.1]:25: no answer"), "No attempt to deliver it",
         "Kein Versuch der Zustellung"},
        {SPAN(""), SPAN(""), "No attempt to deliver it", "Kein Versuch der Zustellung"},
        {SPAN(""), SPAN("450 later"), "server did not take the message. Its words",
         "die Nachricht nicht angenommen. Mehr als"},
        {SPAN("4.7.1"), SPAN("450 4.7.1 greylisted"), "passes by itself",
         "gibt sich das von selbst"},
        {SPAN("4.1.8"), SPAN("450 4.1.8 sender"), "because of an address", "wegen einer Adresse"},
        {SPAN("4.1.1"), SPAN("450 4.1.1 not now"), "because of an address", "wegen einer Adresse"},
        {SPAN("4.4.1"), SPAN("451 4.4.1 no way"), "can't be reached at present",
         "ist derzeit nicht"},
        {SPAN("4.4.7"), SPAN("451 4.4.7 too late"), "message in time", "nicht rechtzeitig"},
        {SPAN("4.4.3"), SPAN("451 4.4.3 no DNS"), "The directory", "Das Verzeichnis"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct report_recipient recipient = {
            .address = SPAN("bob@slow.test"), .status = cases[i].status, .reply = cases[i].reply};
        assert_told_of_delay(&recipient, REPORT_ENGLISH, cases[i].part);
        assert_told_of_delay(&recipient, REPORT_GERMAN, cases[i].german);
    }
}

/* How often the words about the first one's status stand there. */
static unsigned causes_told(const struct report_recipient *two)
{
    struct report report = failed;
    struct report_made made;
    unsigned told = 0;

    report.recipients = two;
    report.recipient_count = 2;
    char *text = written(&report, &made);
    for (const char *at = text; (at = strstr(at, "This address does not exist.")); at++)
        told++;
    free(text);
    return told;
}

/* A cause is shared only by those for whom all of it is the same. */
static void who_shares_a_cause(void **state)
{
    struct report_recipient two[2] = {unknown, unknown};

    two[1].address = SPAN("other@far.test");
    two[1].original = SPAN("x@near.test");
    two[1].orcpt = SPAN("rfc822;x@near.test");
    two[1].last_attempt_us = 7000000;
    assert_int_equal(causes_told(two), 1);
    two[1].status = SPAN("4.1.1");
    assert_int_equal(causes_told(two), 2);
    two[1].status = two[0].status;
    two[1].host = SPAN("mx2.far.test");
    assert_int_equal(causes_told(two), 2);
    two[1].host = two[0].host;
    two[1].reply = SPAN("550 5.1.1 other words");
    assert_int_equal(causes_told(two), 2);
    two[1].reply = two[0].reply;
    two[1].why = SPAN("w");
    assert_int_equal(causes_told(two), 2);
    two[1].why = two[0].why;
    two[1].end = REPORT_END_EXPIRED;
    assert_int_equal(causes_told(two), 2);
    two[1].end = REPORT_END_SAID;
    two[1].instead = SPAN("y@far.test");
    assert_int_equal(causes_told(two), 2);
    two[0].instead = SPAN("y@far.test");
    assert_int_equal(causes_told(two), 2);
    two[1].instead = SPAN("");
    assert_int_equal(causes_told(two), 2);
}

/* RFC 3464 2.3.3 and 2.3.4 for the reports that aren't of trouble. */
static void receipts(void **state)
{
    static const struct {
        enum report_kind kind;
        const char *action;
    } cases[] = {{REPORT_RELAYED, "relayed"},
                 {REPORT_DELIVERED, "delivered"},
                 {REPORT_EXPANDED, "expanded"}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (int language = 0; language < REPORT_LANGUAGE_COUNT; language++) {
            struct report_recipient recipient = {.address = SPAN("bob@far.test")};
            struct report report = failed;
            struct report_made made;
            char fields[100];
            report.kind = (uint8_t)cases[i].kind;
            report.language = (uint8_t)language;
            report.recipients = &recipient;
            report.until_us = 1;
            char *text = written(&report, &made);
            assert_is_fit_for_smtp(text);
            snprintf(fields, sizeof(fields), "\r\nAction: %s\r\nStatus: 2.0.0\r\n\r\n",
                     cases[i].action);
            assert_has(text, fields);
            assert_has_not(text, "Will-Retry-Until");
            assert_has_not(text, "Last-Attempt-Date");
            assert_has_not(text, "did not take");
            free(text);
        }
}

/* What can't be read in a sender's names is left out, and never stands there raw. */
static void names_that_cannot_be_read(void **state)
{
    struct report_recipient recipient = unknown;
    struct report report = failed;
    struct report_made made;

    recipient.original = SPAN("bob@near.test");
    recipient.orcpt = SPAN("rfc822;b+0Ax");
    report.recipients = &recipient;
    report.envelope_id = SPAN("a=b");
    char *text = written(&report, &made);
    assert_has_not(text, "Original-Envelope-Id");
    assert_has(text, "Original-Recipient: rfc822;bob@near.test\r\n");
    free(text);
    recipient.original = SPAN("");
    text = written(&report, &made);
    assert_has_not(text, "Original-Recipient");
    free(text);
}

/* RFC 6522 section 3 and RFC 6533 section 4: what the original's part is called. */
static void what_comes_back_is_named(void **state)
{
    static const struct {
        const char *original;
        bool whole, utf8; /* `utf8`: an address of the report is */
        const char *type;
        bool eight_bit;
    } cases[] = {
        {"A: b\r\n", false, false, "text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit", false},
        {"A: \xc3\xa4\r\n", false, false,
         "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nA: "
         "=C3=A4\r\n--",
         false},
        {"A: \xe4 \r\nB: c\r\n\r\nd\r\n", false, false,
         "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
         "A: =E4=20\r\nB: c\r\n--",
         false},
        {"A: \xc3\xa4\r\n", false, true,
         "message/global-headers\r\nContent-Transfer-Encoding: 8bit", true},
        {"A: \xe4\r\n", false, true,
         "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable", true},
        {"A: \xe4\r\n\r\nc\r\n", true, true, "message/rfc822\r\nContent-Transfer-Encoding: 8bit",
         true},
        /* What no station of 7 bits could be given comes back as a header only. */
        {"A: \xe4\r\n\r\nc\r\n", true, false,
         "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nA: =E4\r\n--",
         false},
        {"Content-Type: message/rfc822\r\n\r\nA: \xe4\r\n\r\nc\r\n", true, false,
         "text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit", false},
        {"A: b\r\n\r\n\xc3\xa4\r\n", false, false,
         "text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit", false},
        {"A: b\r\n\r\nc\r\n", true, false, "message/rfc822\r\nContent-Transfer-Encoding: 7bit",
         false},
        {"A: b\r\n\r\n\xc3\xa4\r\n", true, false,
         "message/rfc822\r\nContent-Transfer-Encoding: 8bit", true},
        {"A: b\r\n\r\nc\r\n", true, true, "message/global\r\nContent-Transfer-Encoding: 7bit",
         true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct report_recipient recipient = unknown;
        struct report report = failed;
        struct report_made made;
        if (cases[i].utf8)
            recipient.original = SPAN("\xc3\xb6@far.test");
        report.recipients = &recipient;
        report.header = span_from_cstr(cases[i].original);
        report.whole = cases[i].whole;
        char *text = written(&report, &made);
        assert_has(text, cases[i].type);
        assert_int_equal(made.eight_bit, cases[i].eight_bit);
        assert_int_equal(made.smtputf8, cases[i].utf8);
        free(text);
    }
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
    recipient.end = REPORT_END_EXPIRED;
    report.language = REPORT_GERMAN;
    text = written(&report, &made);
    assert_has(text, "Status: 5.4.7\r\n");
    assert_has(text, "Seit Sat, 21 Nov");
    assert_has(text, "ist die letzte");
    free(text);
}

/* Nobody else must act, and our words aren't told twice. */
static void who_gave_it_up_is_told(void **state)
{
    static const char *const parts[REPORT_LANGUAGE_COUNT][2] = {
        {"An administrator of this server", "ask why"},
        {"Ein Administrator dieses Servers", "nach dem Grund"},
    };
    struct report_recipient recipient = {
        .address = SPAN("bob@slow.test"),
        .status = SPAN("5.4.7"),
        .why = SPAN("an administrator of this server gave it up"),
        .end = REPORT_END_GIVEN_UP,
    };
    struct report report = failed;
    struct report_made made;

    report.recipients = &recipient;
    for (uint8_t language = 0; language < REPORT_LANGUAGE_COUNT; language++) {
        report.language = language;
        char *text = written(&report, &made);
        for (size_t i = 0; i < ARRAY_SIZE(parts[0]); i++)
            assert_has(text, parts[language][i]);
        assert_null(strstr(text, "must act"));
        assert_null(strstr(text, "Betreiber"));
        assert_null(strstr(text, "    an administrator"));
        assert_has(text, "Diagnostic-Code: X-Postbuch; an administrator of this server gave it");
        assert_null(strstr(text, "Last-Attempt-Date"));
        free(text);
    }
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
    report.recipient_count = REPORT_RECIPIENTS_MAX + 1;
    assert_int_equal(report_write(&report, &out, &made), -EINVAL);
    report = failed;
    report.kind = REPORT_KIND_COUNT;
    assert_int_equal(report_write(&report, &out, &made), -EINVAL);
    report = failed;
    report.language = REPORT_LANGUAGE_COUNT;
    assert_int_equal(report_write(&report, &out, &made), -EINVAL);
    assert_int_equal(out.size, 0);
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
        assert_has(report_explain(REPORT_FAILED, span_from_cstr(cases[i].status), REPORT_ENGLISH),
                   cases[i].part);
    assert_has(report_explain(REPORT_FAILED, SPAN("5.1.1"), REPORT_GERMAN), "gibt es nicht");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_failure),
                                       cmocka_unit_test(a_failure_as_it_is_read),
                                       cmocka_unit_test(a_delay_as_it_is_read),
                                       cmocka_unit_test(a_delay_blames_nobody_in_vain),
                                       cmocka_unit_test(who_shares_a_cause),
                                       cmocka_unit_test(receipts),
                                       cmocka_unit_test(names_that_cannot_be_read),
                                       cmocka_unit_test(what_comes_back_is_named),
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
                                       cmocka_unit_test(who_gave_it_up_is_told),
                                       cmocka_unit_test(a_long_header_is_cut_at_a_line)};
    setenv("TZ", "CET-1", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
