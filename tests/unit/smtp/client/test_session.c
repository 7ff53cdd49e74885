/* What a session knows beside what it says: whether it was kept too long, which station knows of
 * wishes, whose fault a refusal or a late piece is, and how much of a body is under way. */
#include "../../unit.h"

#include "mail/envelope.h"
#include "smtp/client/client.h"

#include <stdlib.h>

struct talk {
    int64_t now_ms;
    struct smtp_client *client;
    struct smtp_client_mail mail;
    struct smtp_client_recipient recipients[3];
};

static const struct smtp_client_settings settings = {.hostname = {"mx.test", 7},
                                                     .timeouts.block = 180000};

static void hear(struct talk *t, const char *text)
{
    smtp_client_input(t->client, span_from_cstr(text));
}

/* What was said since the last time begins with `start`. */
static void said(struct talk *t, const char *start)
{
    struct span out = smtp_client_output(t->client);

    assert_span(span_first(out, strlen(start)), start);
    smtp_client_sent(t->client, out.size);
}

static void begin(struct talk *t, const char *offers)
{
    *t = (struct talk){.now_ms = 1};
    t->client = smtp_client_new(&settings, &t->now_ms);
    assert_non_null(t->client);
    hear(t, "220 b.test\r\n");
    said(t, "EHLO mx.test\r\n");
    hear(t, "250-b.test\r\n");
    hear(t, offers);
    assert_true(smtp_client_is_ready(t->client));
}

/* To three recipients. */
static void send_mail(struct talk *t, struct span body)
{
    arena_done(&t->mail.arena);
    for (size_t i = 0; i < ARRAY_SIZE(t->recipients); i++)
        t->recipients[i] = (struct smtp_client_recipient){
            .address = SPAN("x@b.test"), .notify = ENVELOPE_NOTIFY_SUCCESS, .orcpt = SPAN("")};
    t->mail.sender = t->mail.sender.size ? t->mail.sender : SPAN("a@a.test");
    t->mail.recipients = t->recipients;
    t->mail.recipient_count = ARRAY_SIZE(t->recipients);
    t->mail.body = body;
    if (t->mail.size_bytes < body.size)
        t->mail.size_bytes = body.size;
    smtp_client_begin(t->client, &t->mail);
}

static void done(struct talk *t)
{
    smtp_client_lost(t->client, "it closed the connection");
    smtp_client_free(t->client);
    arena_done(&t->mail.arena);
}

static void take_a_mail(struct talk *t)
{
    send_mail(t, SPAN("x\r\n"));
    said(t, "MAIL FROM:<a@a.test>\r\nRCPT TO:");
    hear(t, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 ok\r\n");
    assert_true(smtp_client_wants_body(t->client));
    smtp_client_body(t->client, SPAN("x\r\n"));
    said(t, "x\r\n.\r\n");
    hear(t, "250 ok\r\n");
    assert_true(smtp_client_is_ready(t->client));
    assert_int_equal(t->recipients[2].result, SMTP_RESULT_TAKEN);
}

/* Only silence on a connection that was used before says that it was kept too long. */
static void a_stale_connection(void **state)
{
    struct talk t;

    begin(&t, "250 PIPELINING\r\n");
    send_mail(&t, SPAN("x\r\n"));
    smtp_client_lost(t.client, "it closed the connection");
    assert_false(smtp_client_was_stale(t.client));
    done(&t);

    begin(&t, "250 PIPELINING\r\n");
    take_a_mail(&t);
    assert_int_equal(smtp_client_mail_count(t.client), 1);
    send_mail(&t, SPAN("x\r\n"));
    assert_false(smtp_client_was_stale(t.client));
    smtp_client_lost(t.client, "it closed the connection");
    assert_true(smtp_client_was_stale(t.client));
    assert_int_equal(smtp_client_mail_count(t.client), 2);
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_HOST);
    done(&t);

    begin(&t, "250 PIPELINING\r\n");
    take_a_mail(&t);
    send_mail(&t, SPAN("x\r\n"));
    hear(&t, "250 ok\r\n");
    smtp_client_lost(t.client, "it closed the connection");
    assert_false(smtp_client_was_stale(t.client));
    done(&t);
}

/* RFC 3461 5.2.2: who relays to a station without DSN owes the receipt himself. */
static void who_knows_of_wishes(void **state)
{
    struct talk t;

    begin(&t, "250-PIPELINING\r\n250 DSN\r\n");
    send_mail(&t, SPAN("x\r\n"));
    hear(&t, "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n");
    assert_true(t.recipients[0].knows_wish && t.recipients[2].knows_wish);
    assert_false(t.recipients[1].knows_wish);
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_ACCEPTED);
    assert_int_equal(t.recipients[1].result, SMTP_RESULT_NEVER);
    done(&t);

    begin(&t, "250 PIPELINING\r\n");
    send_mail(&t, SPAN("x\r\n"));
    hear(&t, "250 ok\r\n250 ok\r\n");
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_ACCEPTED);
    assert_false(t.recipients[0].knows_wish);
    done(&t);
}

/* A refusal of one recipient says nothing of the others; one of the message is everybody's. */
static void whose_refusal_it_is(void **state)
{
    struct talk t;

    begin(&t, "250 PIPELINING\r\n");
    send_mail(&t, SPAN("x\r\n"));
    hear(&t, "250 ok\r\n550 5.1.1 nobody\r\n250 ok\r\n250 ok\r\n554 5.7.1 spam\r\n");
    assert_false(t.recipients[0].everybodys);
    assert_span(t.recipients[0].text, "550 5.1.1 nobody");
    for (size_t i = 1; i < 3; i++) {
        assert_true(t.recipients[i].everybodys);
        assert_int_equal(t.recipients[i].result, SMTP_RESULT_NEVER);
        assert_string_equal(t.recipients[i].status, "5.7.1");
        assert_span(t.recipients[i].text, "554 5.7.1 spam");
    }
    done(&t);
}

/* Canonical addresses hold no control bytes; whatever comes here, none gets into a command. */
static void a_sender_who_cannot_be_named(void **state)
{
    static const struct span senders[] = {SPAN("a\r\nDATA@b.test"), SPAN("a\x7f@b.test"),
                                          SPAN("a\0@b.test"), SPAN("\x1f@b.test")};
    struct talk t;

    for (size_t k = 0; k < ARRAY_SIZE(senders); k++) {
        begin(&t, "250 PIPELINING\r\n");
        t.mail.sender = senders[k];
        send_mail(&t, SPAN("x\r\n"));
        assert_int_equal(smtp_client_output(t.client).size, 0);
        assert_true(smtp_client_is_ready(t.client));
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(t.recipients[i].result, SMTP_RESULT_NEVER);
            assert_string_equal(t.recipients[i].status, "5.1.7");
        }
        done(&t);
    }
}

/* Of a large body only the beginning is there when its needs are told: its sender is believed. */
static void what_a_large_body_needs(void **state)
{
    struct talk t;

    begin(&t, "250 8BITMIME\r\n");
    t.mail.size_bytes = 1000000;
    send_mail(&t, SPAN("Subject: x\r\n\r\n"));
    said(&t, "MAIL FROM:<a@a.test>\r\n");
    done(&t);
    begin(&t, "250 8BITMIME\r\n");
    t.mail.size_bytes = 1000000;
    t.mail.eight_bit = true;
    send_mail(&t, SPAN("Subject: x\r\n\r\n"));
    said(&t, "MAIL FROM:<a@a.test> BODY=8BITMIME\r\n");
    done(&t);
    begin(&t, "250 8BITMIME\r\n");
    t.mail.size_bytes = 1000000;
    send_mail(&t, SPAN("Subject: x\r\n\r\n\xc3\xa4"));
    said(&t, "MAIL FROM:<a@a.test> BODY=8BITMIME\r\n");
    done(&t);
    /* All of it is there and is 7-bit, whatever was declared. */
    begin(&t, "250 8BITMIME\r\n");
    t.mail.eight_bit = true;
    send_mail(&t, SPAN("Subject: x\r\n\r\n"));
    said(&t, "MAIL FROM:<a@a.test>\r\n");
    done(&t);
}

/* Gives pieces of `size` bytes while they are wanted and nothing is heard; returns how many. */
static unsigned pieces_wanted(struct talk *t, size_t size, bool station_reads)
{
    char *piece = calloc(1, size);
    unsigned count = 0;

    memset(piece, 'x', size);
    while (smtp_client_wants_body(t->client) && count < 1000) {
        smtp_client_body(t->client, span_of(piece, size));
        if (station_reads)
            smtp_client_sent(t->client, smtp_client_output(t->client).size);
        count++;
    }
    free(piece);
    return count;
}

static void to_the_body(struct talk *t, const char *offers)
{
    begin(t, offers);
    t->mail.size_bytes = 100000000;
    send_mail(t, SPAN("x"));
    for (int i = 0; i < 4; i++)
        hear(t, "250 ok\r\n");
    if (!strstr(offers, "CHUNKING"))
        hear(t, "354 ok\r\n");
    smtp_client_sent(t->client, smtp_client_output(t->client).size);
    assert_true(smtp_client_wants_body(t->client));
}

static void how_much_of_a_body_is_under_way(void **state)
{
    struct talk t;

    to_the_body(&t, "250 PIPELINING\r\n");
    assert_int_equal(pieces_wanted(&t, 16384, false), 4); /* 64 KiB that the station doesn't read */
    smtp_client_sent(t.client, 1);
    assert_true(smtp_client_wants_body(t.client));
    assert_int_equal(pieces_wanted(&t, 16384, true), 1000);
    done(&t);

    to_the_body(&t, "250-PIPELINING\r\n250 CHUNKING\r\n");
    assert_int_equal(pieces_wanted(&t, 100, true), 16);
    hear(&t, "250 ok\r\n250 ok\r\n");
    assert_int_equal(pieces_wanted(&t, 100, true), 2);
    /* The verdict ends it, though most of the body hasn't gone out. */
    hear(&t, "552 5.3.4 too much\r\n");
    assert_int_equal(pieces_wanted(&t, 100, true), 0);
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_NEVER);
    assert_false(smtp_client_is_ready(t.client));
    for (int i = 0; i < 15; i++)
        hear(&t, "503 5.5.1 what\r\n");
    assert_true(smtp_client_is_ready(t.client));
    assert_span(t.recipients[0].text, "552 5.3.4 too much");
    done(&t);

    to_the_body(&t, "250 CHUNKING\r\n"); /* one command at a time */
    assert_int_equal(pieces_wanted(&t, 100, true), 1);
    hear(&t, "250 ok\r\n");
    assert_int_equal(pieces_wanted(&t, 100, true), 1);
    done(&t);
}

static void who_is_to_blame_for_a_late_piece(void **state)
{
    struct talk t;

    /* The station has read all: it is us. */
    to_the_body(&t, "250 PIPELINING\r\n");
    assert_int_equal(pieces_wanted(&t, 0, true), 1000);
    t.now_ms += 180000;
    smtp_client_expire(t.client);
    assert_true(smtp_client_is_over(t.client));
    assert_true(smtp_client_trouble_is_ours(t.client));
    assert_string_equal(smtp_client_trouble_status(t.client), "4.3.0");
    assert_span(smtp_client_trouble(t.client),
                "the next piece of the message didn't come in time while the message was sent");
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_OURS);
    done(&t);

    /* Nor is its patience as long as ours: it says so, or just leaves … */
    static const char *const offers[] = {"250 PIPELINING\r\n",
                                         "250-PIPELINING\r\n250 CHUNKING\r\n"};
    for (int i = 0; i < 4; i++) {
        bool late = i % 2 == 0;
        for (int says = 0; says < 2; says++) {
            to_the_body(&t, offers[i / 2]);
            t.now_ms += late ? 10000 : 100;
            if (says)
                hear(&t, "421 4.4.2 timeout\r\n");
            else
                smtp_client_lost(t.client, "it closed the connection");
            assert_true(smtp_client_is_over(t.client));
            /* … but not when we were in time. */
            assert_int_equal(t.recipients[0].result, late ? SMTP_RESULT_OURS : SMTP_RESULT_HOST);
            done(&t);
        }
    }

    /* It hasn't. */
    to_the_body(&t, "250 PIPELINING\r\n");
    smtp_client_body(t.client, SPAN("x"));
    t.now_ms += 180000;
    smtp_client_expire(t.client);
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_HOST);
    done(&t);

    /* It owes the answer to a chunk. */
    to_the_body(&t, "250-PIPELINING\r\n250 CHUNKING\r\n");
    smtp_client_body(t.client, SPAN("x"));
    smtp_client_sent(t.client, smtp_client_output(t.client).size);
    t.now_ms += 180000;
    smtp_client_expire(t.client);
    assert_int_equal(t.recipients[0].result, SMTP_RESULT_HOST);
    done(&t);
}

/* Twenty pieces, each late by nearly three minutes: an hour that the station isn't to blame for. */
static void our_time_is_not_the_stations(void **state)
{
    struct talk t;

    to_the_body(&t, "250 PIPELINING\r\n");
    for (int i = 0; i < 20; i++) {
        smtp_client_body(t.client, SPAN("x"));
        assert_int_equal(smtp_client_deadline_ms(t.client), t.now_ms + 180000);
        smtp_client_sent(t.client, smtp_client_output(t.client).size);
        assert_int_equal(smtp_client_deadline_ms(t.client), t.now_ms + 180000);
        t.now_ms += 179999;
        smtp_client_expire(t.client);
        assert_false(smtp_client_is_over(t.client));
    }
    done(&t);
}

/* A station's words are cut to what is kept of them, wherever they are kept. */
static void long_words_of_a_station(void **state)
{
    struct talk t = {.now_ms = 1};
    char line[SMTP_HEARD_LINE_MAX];

    memset(line, 'x', sizeof(line));
    memcpy(line, "554 ", 4);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    t.client = smtp_client_new(&settings, &t.now_ms);
    smtp_client_input(t.client, span_of(line, sizeof(line)));
    assert_true(smtp_client_is_over(t.client));
    assert_int_equal(smtp_client_trouble(t.client).size, SMTP_HEARD_KEPT);
    assert_memory_equal(smtp_client_trouble(t.client).data, line, SMTP_HEARD_KEPT);
    assert_string_equal(smtp_client_trouble_status(t.client), "4.0.0");
    smtp_client_free(t.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_connection),
        cmocka_unit_test(who_knows_of_wishes),
        cmocka_unit_test(whose_refusal_it_is),
        cmocka_unit_test(a_sender_who_cannot_be_named),
        cmocka_unit_test(what_a_large_body_needs),
        cmocka_unit_test(how_much_of_a_body_is_under_way),
        cmocka_unit_test(who_is_to_blame_for_a_late_piece),
        cmocka_unit_test(our_time_is_not_the_stations),
        cmocka_unit_test(long_words_of_a_station),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
