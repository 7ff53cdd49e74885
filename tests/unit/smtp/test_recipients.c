/* How many recipients a message may have: by their number, also of those whose answers come late,
 * and by the bytes that the queue can be told at once. */
#include "../unit.h"
#include "backend.h"

#include <stdio.h>

enum { ASKED_MAX = 32 };

struct world {
    struct smtp_question *asked[ASKED_MAX];
    size_t asked_count, most_asked;
    bool late;               /* answers come when nothing else goes on */
    unsigned taken, refused; /* recipients, by the replies */
    size_t committed, wire_bytes;
};

static const struct smtp_answer accept_it;

static int ask(void *context, struct smtp_question *q)
{
    struct world *w = context;

    if (q->kind == SMTP_ASK_MESSAGE) {
        struct buffer wire = BUFFER_INIT;
        assert_int_equal(codec_encode(&envelope_codec, q->message->envelope, &wire), 0);
        w->committed = q->message->envelope->recipient_count;
        w->wire_bytes = wire.size;
        buffer_done(&wire);
    } else if (q->kind == SMTP_ASK_RECIPIENT && w->late) {
        assert_true(w->asked_count < ASKED_MAX);
        w->asked[w->asked_count++] = q;
        return 0;
    }
    smtp_question_answer(q, &accept_it);
    return 0;
}

static const struct smtp_server_backend backend = {.ask = ask,
                                                   .cancel = backend_cancel,
                                                   .upload = backend_upload,
                                                   .upload_abort = backend_upload_abort,
                                                   .refused = backend_refused,
                                                   .make_id = backend_make_id,
                                                   .wake = backend_wake};

static struct smtp_server *begin(struct world *w, const struct smtp_server_settings *settings)
{
    static const struct smtp_server_time time = {.monotonic_ms = 1, .wall_us = 1};
    static const struct smtp_server_client client = {.uid = UINT32_MAX};

    assert_int_equal(smtp_server_prepare(), 0);
    struct smtp_server *s = smtp_server_new(settings, &backend, w, &time, &client);
    assert_non_null(s);
    return s;
}

/* How many of the lines that came begin with `text`. */
static unsigned count(struct smtp_server *s, const char *text)
{
    struct span out = smtp_server_output(s);
    unsigned n = 0;

    for (ptrdiff_t lf; (lf = span_find(out, '\n')) >= 0; out = span_from(out, (size_t)lf + 1))
        n += span_starts_nocase(out, span_from_cstr(text));
    return n;
}

static void drain(struct world *w, struct smtp_server *s)
{
    w->taken += count(s, "250 2.1.5");
    w->refused += count(s, "452 4.5.3");
    smtp_server_sent(s, smtp_server_output(s).size);
}

static void answer_all(struct world *w)
{
    while (w->asked_count)
        smtp_question_answer(w->asked[--w->asked_count], &accept_it);
}

/* What isn't taken must wait for answers: those that were asked for are given, the last one first.
 */
static void feed(struct world *w, struct smtp_server *s, const char *text)
{
    size_t size = strlen(text), used;

    while (size) {
        used = smtp_server_input(s, span_of(text, size));
        text += used;
        size -= used;
        drain(w, s);
        if (used)
            continue;
        assert_true(w->asked_count);
        w->most_asked = w->asked_count > w->most_asked ? w->asked_count : w->most_asked;
        answer_all(w);
    }
    drain(w, s);
}

static void late_answers_make_no_more(void **state)
{
    static const struct smtp_server_settings settings = {.hostname = SPAN("mx.test"),
                                                         .recipients_max = 3};
    struct world w = {.late = true};
    struct smtp_server *s = begin(&w, &settings);

    feed(&w, s, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n");
    feed(&w, s,
         "RCPT TO:<1@d.test>\r\nRCPT TO:<2@d.test>\r\nRCPT TO:<3@d.test>\r\n"
         "RCPT TO:<4@d.test>\r\nRCPT TO:<5@d.test>\r\nDATA\r\n\r\n.\r\n");
    assert_int_equal(w.most_asked, 3);
    assert_int_equal(w.taken, 3);
    assert_int_equal(w.refused, 2);
    assert_int_equal(w.committed, 3);
    smtp_server_free(s);
}

/* Of ten thousand that the configuration allows so many are taken as fit into one message to the
 * queue. What doesn't fit would be deferred at its end, each time anew. */
static void send_long_addresses(bool late)
{
    static const struct smtp_server_settings settings = {.hostname = SPAN("mx.test"),
                                                         .recipients_max = 10000};
    struct world w = {.late = late};
    struct smtp_server *s = begin(&w, &settings);
    char line[512];

    feed(&w, s, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n");
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(line, sizeof(line),
                 "RCPT TO:<%064u@%063u.%063u.%055u.test> NOTIFY=NEVER ORCPT=rfc822;%0150u\r\n", i,
                 1, 2, 3, i);
        feed(&w, s, line);
    }
    feed(&w, s, "DATA\r\n\r\n.\r\n");
    assert_int_equal(w.taken + w.refused, 3000);
    assert_int_equal(w.committed, w.taken);
    assert_in_range(w.wire_bytes, ENVELOPE_WIRE_MAX - 10000, ENVELOPE_WIRE_MAX);
    /* The next message begins anew. */
    feed(&w, s, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
    answer_all(&w);
    drain(&w, s);
    assert_int_equal(w.taken, w.committed + 1);
    smtp_server_free(s);
}

static void long_addresses_are_fewer(void **state)
{
    send_long_addresses(false);
}

static void asked_for_at_the_same_time_they_are_fewer_too(void **state)
{
    send_long_addresses(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_answers_make_no_more),
        cmocka_unit_test(long_addresses_are_fewer),
        cmocka_unit_test(asked_for_at_the_same_time_they_are_fewer_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
