/* The report process and a queue, in one loop: what is asked for comes back as mail/report.c writes
 * it, nothing on the way is lost or mixed up, and a queue may come again. */
#include "../../unit.h"

#include "mail/report.h"
#include "proc/report/service.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

struct answer {
    struct ipc_call call;
    bool answered;
    int error;
    bool eight_bit, smtputf8;
    struct buffer text;
};

struct world {
    struct io_loop *loop;
    struct report_service service;
    struct ipc_channel *queue;
    bool lost;
    int lost_error;
};

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct world *w = owner;

    w->lost = true;
    w->lost_error = error;
}

static const struct ipc_role queue_role = {.peer_name = "report", .lost = on_lost};

static void connect_queue(struct world *w)
{
    int fds[2];

    ipc_channel_free(w->queue);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(report_service_connect(&w->service, w->loop, fds[0]), 0);
    assert_int_equal(ipc_channel_new(w->loop, fds[1], &queue_role, w, &w->queue), 0);
    w->lost = false;
}

static int setup(void **state)
{
    static struct world w;

    w = (struct world){0};
    assert_int_equal(io_loop_new(&w.loop), 0);
    connect_queue(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ipc_channel_free(w->queue);
    ipc_channel_free(w->service.queue);
    io_loop_free(w->loop);
    return 0;
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct answer *a = CONTAINER_OF(call, struct answer, call);

    assert_non_null(reply);
    assert_false(a->answered);
    a->answered = true;
    a->error = reply->reported.error;
    a->eight_bit = reply->reported.eight_bit;
    a->smtputf8 = reply->reported.smtputf8;
    buffer_append_span(&a->text, reply->reported.message);
}

static void ask(struct world *w, struct answer *a, const struct ipc_message *m)
{
    *a = (struct answer){.call.fn = on_reply};
    assert_int_equal(ipc_call(w->queue, &a->call, m), 0);
}

static void turn_until(struct world *w, const bool *condition)
{
    while (!*condition)
        assert_int_equal(io_loop_turn(w->loop), 0);
}

/* Every field has a value of its own, so that none can stand for another. */
static struct ipc_report_recipient recipients[] = {
    {.address = SPAN("bob@far.test"),
     .original = SPAN("b@near.test"),
     .status = SPAN("5.1.1"),
     .host = SPAN("mx.far.test"),
     .reply = SPAN("550 5.1.1 who?"),
     .why = SPAN("our own words"),
     .orcpt = SPAN("rfc822;Bob@near.test"),
     .instead = SPAN("rob@far.test"),
     .last_attempt_us = 1000000},
    {.address = SPAN("j\xc3\xbcrgen@far.test"),
     .end = REPORT_END_EXPIRED,
     .why = SPAN("nobody answered"),
     .last_attempt_us = 2000000},
};

static struct ipc_message request(void)
{
    return (struct ipc_message){.type = IPC_REPORT,
                                .report = {.kind = REPORT_DELAYED,
                                           .language = REPORT_GERMAN,
                                           .id = {{1, 2}},
                                           .now_us = 3000000,
                                           .hostname = SPAN("mail.near.test"),
                                           .postmaster = SPAN("help@near.test"),
                                           .original_id = {{3, 4}},
                                           .sender = SPAN("alice@near.test"),
                                           .arrival_us = 4000000,
                                           .until_us = 5000000,
                                           .header = SPAN("Subject: x\r\n\r\nbody\r\n"),
                                           .whole = true,
                                           .envelope_id = SPAN("QQ1"),
                                           .recipients = recipients,
                                           .recipient_count = ARRAY_SIZE(recipients)}};
}

/* What mail/report.c is to make of it, written down by hand. */
static const struct report_recipient meant_recipients[] = {
    {.address = SPAN("bob@far.test"),
     .original = SPAN("b@near.test"),
     .status = SPAN("5.1.1"),
     .host = SPAN("mx.far.test"),
     .reply = SPAN("550 5.1.1 who?"),
     .why = SPAN("our own words"),
     .orcpt = SPAN("rfc822;Bob@near.test"),
     .instead = SPAN("rob@far.test"),
     .last_attempt_us = 1000000},
    {.address = SPAN("j\xc3\xbcrgen@far.test"),
     .end = REPORT_END_EXPIRED,
     .why = SPAN("nobody answered"),
     .last_attempt_us = 2000000},
};
static const struct report meant = {.kind = REPORT_DELAYED,
                                    .language = REPORT_GERMAN,
                                    .id = {{1, 2}},
                                    .now_us = 3000000,
                                    .hostname = SPAN("mail.near.test"),
                                    .postmaster = SPAN("help@near.test"),
                                    .original_id = {{3, 4}},
                                    .sender = SPAN("alice@near.test"),
                                    .arrival_us = 4000000,
                                    .until_us = 5000000,
                                    .header = SPAN("Subject: x\r\n\r\nbody\r\n"),
                                    .whole = true,
                                    .envelope_id = SPAN("QQ1"),
                                    .recipients = meant_recipients,
                                    .recipient_count = ARRAY_SIZE(meant_recipients)};

static void assert_written(struct world *w, const struct ipc_message *m,
                           const struct report *report)
{
    struct buffer expected = BUFFER_INIT;
    struct report_made made;
    struct answer a;

    assert_int_equal(report_write(report, &expected, &made), 0);
    ask(w, &a, m);
    turn_until(w, &a.answered);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.text.size, expected.size);
    assert_memory_equal(a.text.data, expected.data, expected.size);
    assert_int_equal(a.eight_bit, made.eight_bit);
    assert_int_equal(a.smtputf8, made.smtputf8);
    buffer_done(&a.text);
    buffer_done(&expected);
}

static void every_field_arrives(void **state)
{
    struct world *w = *state;
    struct ipc_message m = request();
    struct report other = meant;

    assert_written(w, &m, &meant);
    other.kind = m.report.kind = REPORT_FAILED;
    other.language = m.report.language = REPORT_ENGLISH;
    other.whole = m.report.whole = false;
    other.recipient_count = m.report.recipient_count = 1;
    assert_written(w, &m, &other);
    assert_int_equal(w->service.written, 2);
}

/* As many recipients as a report may have; one more isn't a message of the catalogue. */
static void the_largest_request(void **state)
{
    static struct ipc_report_recipient many[REPORT_RECIPIENTS_MAX + 1];
    struct world *w = *state;
    struct ipc_message m = request();
    struct answer a;

    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] =
            (struct ipc_report_recipient){.address = SPAN("x@far.test"), .status = SPAN("5.1.1")};
    m.report.recipients = many;
    m.report.recipient_count = REPORT_RECIPIENTS_MAX;
    ask(w, &a, &m);
    turn_until(w, &a.answered);
    assert_int_equal(a.error, 0);
    buffer_done(&a.text);
    m.report.recipient_count++;
    assert_int_equal(ipc_call(w->queue, &a.call, &m), -EINVAL);
}

/* What can't be written is told with its reason, and the next one is written. */
static void what_cannot_be_written(void **state)
{
    struct world *w = *state;
    struct ipc_message m = request();
    struct answer a;

    m.report.sender = SPAN(""); /* nobody gets a report on a report (RFC 3464 section 2) */
    ask(w, &a, &m);
    turn_until(w, &a.answered);
    assert_int_equal(a.error, -EINVAL);
    assert_int_equal(a.text.size, 0);
    assert_int_equal(w->service.written, 0);
    m = request();
    assert_written(w, &m, &meant);
}

/* Several at once are answered each with its own. */
static void many_at_once(void **state)
{
    enum { COUNT = 50 };
    static struct answer answers[COUNT];
    struct world *w = *state;
    struct ipc_message m = request();
    char header[40];

    for (int i = 0; i < COUNT; i++) {
        snprintf(header, sizeof(header), "Subject: number %d.\r\n", i);
        m.report.header = span_from_cstr(header);
        m.report.whole = false;
        ask(w, &answers[i], &m);
    }
    for (int i = 0; i < COUNT; i++) {
        turn_until(w, &answers[i].answered);
        snprintf(header, sizeof(header), "Subject: number %d.\r\n", i);
        assert_non_null(memmem(answers[i].text.data, answers[i].text.size, header, strlen(header)));
        buffer_done(&answers[i].text);
    }
}

/* A queue that ends takes its channel with it; the next one is served as well. */
static void another_queue_comes(void **state)
{
    struct world *w = *state;
    struct ipc_message m = request();

    assert_written(w, &m, &meant);
    ipc_channel_free(w->queue);
    w->queue = NULL;
    while (w->service.queue)
        assert_int_equal(io_loop_turn(w->loop), 0);
    connect_queue(w);
    assert_written(w, &m, &meant);
    /* Also while the one before is still there: it loses its channel. */
    struct ipc_channel *before = w->queue;
    w->queue = NULL;
    connect_queue(w);
    turn_until(w, &w->lost);
    ipc_channel_free(before);
    assert_written(w, &m, &meant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_request, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(another_queue_comes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
