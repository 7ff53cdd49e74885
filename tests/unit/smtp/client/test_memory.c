/*
 * Out of memory at any allocation: no recipient is refused because of it, and no host blamed; what
 * counts as taken was whole, and what the station has taken isn't sent again without a doubt.
 */
#include "../../failing_memory.h"
#include "../../unit.h"

#include "smtp/client/client.h"

#include <stdio.h>
#include <stdlib.h>

/* A station that needs no memory: it reads commands, and keeps a message. */
struct station {
    const char *offers;
    char line[1000];
    size_t line_size, to_come; /* of a BDAT chunk */
    bool in_data, last, whole;
    char replies[4000];
    size_t replies_size;
    size_t got_size;
};

static char got[400000], expected[400000];
static size_t expected_size;

static void reply(struct station *s, const char *text)
{
    size_t size = strlen(text);

    assert_true(s->replies_size + size <= sizeof(s->replies));
    memcpy(s->replies + s->replies_size, text, size);
    s->replies_size += size;
}

static bool begins(const struct station *s, const char *with)
{
    return span_starts_nocase(span_of(s->line, s->line_size), span_from_cstr(with));
}

static void end_of_message(struct station *s)
{
    s->whole = true;
    reply(s, "250 2.0.0 taken\r\n");
}

static void on_line(struct station *s)
{
    s->line[s->line_size] = '\0';
    if (begins(s, "EHLO")) {
        reply(s, s->offers);
    } else if (begins(s, "DATA")) {
        s->in_data = true;
        reply(s, "354 go on\r\n");
    } else if (begins(s, "BDAT")) {
        s->to_come = strtoul(s->line + 5, NULL, 10);
        s->last = strstr(s->line, "LAST");
        if (s->to_come == 0 && s->last)
            end_of_message(s);
    } else {
        reply(s, "250 2.1.0 yes\r\n");
    }
}

static void keep(struct station *s, char c)
{
    assert_true(s->got_size < sizeof(got));
    got[s->got_size++] = c;
}

static void on_chunk_byte(struct station *s, char c)
{
    keep(s, c);
    if (--s->to_come)
        return;
    if (s->last)
        end_of_message(s);
    else
        reply(s, "250 2.0.0 go on\r\n");
}

/* Dots stay as they were stuffed: only sameness counts. */
static void on_data_byte(struct station *s, char c)
{
    keep(s, c);
    if (s->got_size < 5 || memcmp(got + s->got_size - 5, "\r\n.\r\n", 5) != 0)
        return;
    s->in_data = false;
    end_of_message(s);
}

static void on_byte(struct station *s, char c)
{
    if (s->to_come) {
        on_chunk_byte(s, c);
    } else if (s->in_data) {
        on_data_byte(s, c);
    } else if (c == '\n') {
        on_line(s);
        s->line_size = 0;
    } else if (s->line_size + 1 < sizeof(s->line)) {
        s->line[s->line_size++] = c;
    }
}

/* True when something went either way. */
static bool exchange(struct smtp_client *client, struct station *s)
{
    struct span out = smtp_client_output(client);
    bool any = out.size || s->replies_size;

    for (size_t i = 0; i < out.size; i++)
        on_byte(s, out.data[i]);
    smtp_client_sent(client, out.size);
    if (s->replies_size) /* else it isn't called: nothing came */
        smtp_client_input(client, span_of(s->replies, s->replies_size));
    s->replies_size = 0;
    return any;
}

#define HEADER "Received: from somewhere\r\n"
#define PARTS                                                                                      \
    "Subject: two parts\r\nMIME-Version: 1.0\r\n"                                                  \
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"                                     \
    "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\n"          \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
#define LAST "\r\n--b--\r\n"

static char body[150000];
static size_t body_size;
static const char *offers;

static const struct smtp_client_settings settings = {
    .hostname = SPAN("mx.test"),
    .timeouts = {1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000},
};

static void carry(struct smtp_client *client, struct smtp_client_mail *mail, struct station *s)
{
    size_t at = 0;
    bool begun = false;

    for (bool any = true; any && !smtp_client_is_over(client);) {
        any = exchange(client, s);
        if (smtp_client_is_ready(client) && !begun) {
            smtp_client_begin(client, mail);
            begun = any = true;
        } else if (smtp_client_wants_body(client)) {
            size_t size = body_size - at < mail->body.size ? body_size - at : mail->body.size;
            smtp_client_body(client, span_of(body + at, size));
            at += size;
            any = true;
        }
    }
}

static void look(const struct station *s, const struct smtp_client_recipient *r)
{
    assert_true(r->result == SMTP_RESULT_OPEN || r->result == SMTP_RESULT_OURS ||
                r->result == SMTP_RESULT_TAKEN || r->result == SMTP_RESULT_UNCERTAIN);
    if (r->result == SMTP_RESULT_TAKEN)
        assert_true(s->whole);
    if (!s->whole)
        return;
    assert_true(r->result == SMTP_RESULT_TAKEN || r->result == SMTP_RESULT_UNCERTAIN);
    assert_int_equal(s->got_size, expected_size);
    assert_memory_equal(got, expected, expected_size);
}

/* MAIL takes more than a buffer has at first: there may be no memory for any word of the message.
 */
static const char sender[] = "a.sender.with.a.name.for.which.sixty-four.bytes.are.too.few@e.test";

static void run(void)
{
    static int64_t now_ms = 1;
    struct station s = {.offers = offers, .replies = "220 here\r\n", .replies_size = 10};
    struct smtp_client_recipient recipients[] = {{.address = SPAN("a@b.test")},
                                                 {.address = SPAN("c@b.test")}};
    struct smtp_client_mail mail = {.sender = span_from_cstr(sender),
                                    .recipients = recipients,
                                    .recipient_count = 2,
                                    .header = SPAN(HEADER),
                                    .body = {body, body_size < 60000 ? body_size : 60000},
                                    .size_bytes = body_size,
                                    .eight_bit = true};

    failing_memory_arm();
    struct smtp_client *client = smtp_client_new(&settings, &now_ms);
    if (client) {
        carry(client, &mail, &s);
        smtp_client_lost(client, "the test ends");
    }
    smtp_client_free(client);
    failing_memory_rest();
    if (expected_size == 0) { /* the first one, undisturbed */
        assert_true(s.whole);
        expected_size = s.got_size;
        memcpy(expected, got, s.got_size);
    }
    for (size_t i = 0; client && i < 2; i++)
        look(&s, &recipients[i]);
    arena_done(&mail.arena);
}

static void fill_body(size_t size)
{
    body_size = (size_t)snprintf(body, sizeof(body), "%s", PARTS);
    while (body_size < size)
        body_size += (size_t)snprintf(body + body_size, 20, ".gr\303\274n gr\303\274n.\r\n");
    body_size += (size_t)snprintf(body + body_size, 20, "%s", LAST);
}

static void each_allocation(void **state)
{
    static const char *const stations[] = {
        "250 old\r\n",
        "250-x\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        "250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
        "250-x\r\n250 CHUNKING\r\n",
    };
    static const size_t sizes[] = {500, 140000};

    for (size_t i = 0; i < ARRAY_SIZE(stations); i++)
        for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
            offers = stations[i];
            fill_body(sizes[k]);
            expected_size = 0;
            run();
            assert_in_range(failing_memory_each(run), 5, 9999);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
