/* Out of memory at any allocation: the session ends or goes on with a 4xx, nothing leaks, and what
 * was answered with 250 was whole. Each run lets one allocation fail, or all from one on. */
#include "../failing_memory.h"
#include "../unit.h"
#include "backend.h"
/* A backend that needs no memory. */
struct world {
    size_t uploaded;
    unsigned messages, open_uploads;
};

static int ask(void *context, struct smtp_question *q)
{
    static const struct smtp_answer accept;
    struct world *w = context;

    if (q->kind == SMTP_ASK_MESSAGE) {
        size_t size = q->message->uploaded ? w->uploaded : q->message->body.size;
        assert_int_equal(q->message->envelope->size_bytes, size);
        assert_int_equal(q->message->envelope->recipient_count, 2);
        assert_true(size == 20 || size == 140000);
        w->messages++;
        w->open_uploads = 0;
        w->uploaded = 0;
    }
    smtp_question_answer(q, &accept);
    return 0;
}

static int upload(void *context, struct span piece)
{
    struct world *w = context;

    w->uploaded += piece.size;
    w->open_uploads = 1;
    return 0;
}

static void upload_abort(void *context)
{
    struct world *w = context;
    w->open_uploads = 0;
    w->uploaded = 0;
}

static const struct smtp_server_backend backend = {.ask = ask,
                                                   .cancel = backend_cancel,
                                                   .upload = upload,
                                                   .upload_abort = upload_abort,
                                                   .refused = backend_refused,
                                                   .make_id = backend_make_id,
                                                   .wake = backend_wake};

#define TALK "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@d.test>\r\n"

static const char chunked[] = "EHLO x\r\n" TALK "BDAT 20 LAST\r\nSubject: x\r\n\r\nhello.";
static const char opening[] = TALK "DATA\r\n";
static char body[140003];
static const char ending[] = "RCPT TO:<unknown@>\r\nVRFY x\r\nQUIT\r\n";

static bool begins(struct span line, const char *with)
{
    return span_starts_nocase(line, span_from_cstr(with));
}

/* Counts the lines of output that begin with `text`. */
static unsigned look_for(struct smtp_server *s, const char *text)
{
    struct span out = smtp_server_output(s);
    unsigned count = 0;

    for (ptrdiff_t lf; (lf = span_find(out, '\n')) >= 0; out = span_from(out, (size_t)lf + 1)) {
        count += begins(out, text);
        if (out.data[0] == '5') /* our trouble is never a verdict on the mail */
            assert_true(begins(out, "503 ") || begins(out, "554 5.5.1"));
    }
    smtp_server_sent(s, smtp_server_output(s).size);
    return count;
}

static void feed(struct smtp_server *s, const char *text, size_t size)
{
    size_t used;

    for (; size && (used = smtp_server_input(s, span_of(text, size))); size -= used)
        text += used;
}

static void run(void)
{
    static const struct smtp_server_settings settings = {.hostname = SPAN("mx.test"),
                                                         .recipients_max = 100};
    static const struct smtp_server_time time = {.monotonic_ms = 1, .wall_us = 1};
    static const struct smtp_server_client client = {.uid = UINT32_MAX};
    struct world w = {0};
    unsigned queued = 0;

    failing_memory_arm();
    struct smtp_server *s = smtp_server_new(&settings, &backend, &w, &time, &client);
    if (s) {
        feed(s, chunked, sizeof(chunked) - 1);
        queued += look_for(s, "250 2.0.0 queued");
        feed(s, opening, sizeof(opening) - 1);
        if (look_for(s, "354"))
            feed(s, body, sizeof(body));
        queued += look_for(s, "250 2.0.0 queued");
        feed(s, ending, sizeof(ending) - 1);
        look_for(s, "221");
    }
    smtp_server_free(s);
    failing_memory_rest();
    assert_true(queued <= w.messages);
    assert_int_equal(w.open_uploads, 0);
}

static void each_allocation(void **state)
{
    assert_int_equal(smtp_server_prepare(), 0);
    for (size_t i = 0; i < 140000; i += 10)
        memcpy(body + i, "12345678\r\n", 10);
    memcpy(body + 140000, ".\r\n", 3);
    assert_in_range(failing_memory_each(run), 20, 9999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
