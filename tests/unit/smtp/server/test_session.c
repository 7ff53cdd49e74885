/* A session's time, its manners towards a client that doesn't read or has gone, and what comes of
 * it when the backend takes its time. */
#include "talk.h"

#define WAITS                                                                                      \
    {                                                                                              \
        .command_timeout_ms = 1000, .data_timeout_ms = 2000, .message_timeout_ms = 10000,          \
        .session_timeout_ms = 50000, .answer_timeout_ms = 500                                      \
    }

static int64_t left_ms(const struct talk *t)
{
    return smtp_server_deadline_ms(t->server) - t->time.monotonic_ms;
}

static void pass(struct talk *t, int64_t ms)
{
    t->time.monotonic_ms += ms;
    smtp_server_expire(t->server);
}

/* RFC 5321 section 4.5.3.2.7 and beyond: each wait has a limit of its own. */
static void which_deadline_counts_when(void **state)
{
    struct talk t = {.settings = WAITS, .time.monotonic_ms = 5000};

    talk_begin(&t);
    assert_int_equal(left_ms(&t), 1000);
    pass(&t, 100);
    talk_open(&t, "");
    assert_int_equal(left_ms(&t), 1000);
    t.hold = true;
    pass(&t, 900);
    talk_say(&t, "RCPT TO:<e@d.test>\r\n");
    assert_int_equal(left_ms(&t), 500); /* now it is the backend that is waited for */
    assert_true(smtp_server_is_waiting(t.server));
    pass(&t, 499);
    assert_non_null(t.open);
    talk_answer(&t);
    talk_hear(&t, "250 ");
    assert_false(smtp_server_is_waiting(t.server));
    t.hold = false;
    talk_say(&t, "BDAT 2\r\na");
    assert_int_equal(left_ms(&t), 2000);
    pass(&t, 1999);
    talk_say(&t, "b");
    assert_int_equal(left_ms(&t), 2000);
    for (int i = 0; i < 4; i++) {
        pass(&t, 1999);
        talk_say(&t, "BDAT 1\r\nc");
    }
    assert_int_equal(left_ms(&t), 5); /* of the message's ten seconds */
    talk_say(&t, "RSET\r\n");
    assert_int_equal(left_ms(&t), 1000);
    talk_done(&t);
}

/* The bytes of a chunk that was refused are a body's, too, though nobody keeps them. */
static void a_refused_chunk_has_the_time_of_a_body(void **state)
{
    struct talk t = {.settings = WAITS};

    talk_begin(&t);
    talk_hear(&t, "220 ");
    talk_say(&t, "EHLO x\r\nBDAT 10 LAST\r\n1234");
    assert_int_equal(left_ms(&t), 2000);
    pass(&t, 1500);
    talk_say(&t, "5");
    assert_int_equal(left_ms(&t), 2000);
    pass(&t, 2000);
    assert_true(smtp_server_is_over(t.server));
    talk_done(&t);
}

static void a_session_has_an_end(void **state)
{
    struct talk t = {.settings = WAITS, .time.monotonic_ms = 700000};

    talk_begin(&t);
    talk_hear(&t, "220 ");
    for (int i = 0; i < 55; i++) {
        talk_say(&t, "RSET\r\n");
        talk_hear(&t, "250 ");
        pass(&t, 900);
    }
    talk_say(&t, "RSET\r\n");
    talk_hear(&t, "250 ");
    assert_int_equal(left_ms(&t), 500);
    pass(&t, 500);
    assert_true(smtp_server_is_over(t.server));
    assert_int_equal(left_ms(&t), 30000); /* for its last reply */
    talk_hear(&t, "421 4.4.2 ");
    talk_done(&t);
}

static void without_limits_there_is_no_deadline(void **state)
{
    struct talk t = {.hold = true};

    talk_begin(&t);
    assert_true(smtp_server_deadline_ms(t.server) == INT64_MAX);
    talk_say(&t, "HELO x\r\nMAIL FROM:<>\r\n");
    assert_true(smtp_server_deadline_ms(t.server) == INT64_MAX);
    pass(&t, INT64_C(1000000000000));
    assert_non_null(t.open);
    talk_done(&t);
}

/* The last reply waits half a minute for a client that doesn't read; then it is dropped, so that
 * the connection can be closed. */
static void a_last_reply_has_its_time(void **state)
{
    struct talk t = {.settings = WAITS, .unread = true};

    talk_begin(&t);
    pass(&t, 700);
    talk_say(&t, "QUIT\r\n");
    assert_true(smtp_server_is_over(t.server) && smtp_server_has_quit(t.server));
    assert_int_equal(left_ms(&t), 30000);
    pass(&t, 29999);
    assert_true(smtp_server_output(t.server).size > 0);
    pass(&t, 1);
    assert_int_equal(smtp_server_output(t.server).size, 0);
    talk_done(&t);
}

/* Nobody is made to hold the replies that a client doesn't read. */
static void who_reads_no_replies_is_not_read(void **state)
{
    struct talk t = {.unread = true};
    struct buffer commands = BUFFER_INIT;
    size_t took, replies = 0;

    for (int i = 0; i < 5000; i++)
        buffer_append_span(&commands, SPAN("HELP\r\n"));
    talk_begin(&t);
    took = talk_send(&t, buffer_span(&commands), SIZE_MAX);
    assert_in_range(took, 60, 600);
    assert_in_range(smtp_server_output(t.server).size, 8192, 8192 + 512);
    assert_false(smtp_server_wants_input(t.server));
    t.unread = false;
    talk_read(&t);
    assert_true(smtp_server_wants_input(t.server));
    talk_send(&t, span_first(span_from(buffer_span(&commands), took), 6 * 20), SIZE_MAX);
    talk_hear(&t, "220 ");
    while (t.said.size) {
        talk_hear(&t, replies % 2 ? "214 " : "214-");
        replies++;
    }
    assert_int_equal(replies, 2 * (took / 6 + 20));
    buffer_done(&commands);
    talk_done(&t);
}

/* What a client sent before it closed its side is answered, and a message that is complete is kept:
 * else it would send it again. */
static void the_end_of_input_takes_nothing_back(void **state)
{
    struct talk t = {0};

    talk_begin(&t);
    talk_open(&t, "");
    t.hold = true;
    talk_say(&t, "RCPT TO:<e@d.test>\r\n");
    smtp_server_eof(t.server);
    assert_false(smtp_server_is_over(t.server));
    t.wakes = 0;
    talk_answer(&t);
    assert_int_equal(t.wakes, 1);
    talk_hear(&t, "250 2.1.5 ");
    assert_true(smtp_server_is_over(t.server));
    assert_false(smtp_server_has_quit(t.server));
    talk_done(&t);

    t = (struct talk){0};
    talk_begin(&t);
    talk_open(&t, "DATA\r\n");
    t.hold = true;
    talk_say(&t, "x\r\n.\r\n");
    smtp_server_eof(t.server);
    assert_false(smtp_server_is_over(t.server));
    t.wakes = 0;
    talk_answer(&t);
    assert_int_equal(t.wakes, 1);
    talk_hear(&t, "354 ");
    talk_hear(&t, "250 2.0.0 queued as ");
    assert_true(smtp_server_is_over(t.server));
    talk_done(&t);
}

/* Half a message ends with its client, and what was uploaded of it is given back. */
static void the_end_of_input_ends_half_a_message(void **state)
{
    struct talk t = {0};
    char *body = calloc(1, 100000);

    memset(body, 'x', 100000);
    talk_begin(&t);
    talk_open(&t, "DATA\r\n");
    talk_send(&t, span_of(body, 100000), SIZE_MAX);
    assert_true(t.pieces > 0);
    smtp_server_eof(t.server);
    assert_true(smtp_server_is_over(t.server));
    assert_int_equal(t.aborts, 1);
    assert_int_equal(t.messages, 0);
    free(body);
    talk_done(&t);
}

/* RFC 5321 section 3.8: a server that ends says 421, between messages and before the first one. */
static void a_shutdown_waits_for_messages_only(void **state)
{
    struct talk t = {0};

    talk_begin(&t);
    talk_hear(&t, "220 ");
    smtp_server_shutdown(t.server);
    talk_hear(&t, "421 4.3.2 ");
    assert_true(smtp_server_is_over(t.server));
    talk_done(&t);

    t = (struct talk){0};
    talk_begin(&t);
    talk_open(&t, "BDAT 1\r\nx");
    smtp_server_shutdown(t.server);
    talk_hear(&t, "250 2.0.0 1 bytes");
    assert_false(smtp_server_is_over(t.server));
    t.hold = true;
    talk_say(&t, "BDAT 1 LAST\r\ny");
    assert_false(smtp_server_is_over(t.server));
    talk_answer(&t);
    talk_hear(&t, "250 2.0.0 queued as ");
    talk_hear(&t, "421 4.3.2 ");
    assert_true(smtp_server_is_over(t.server));
    talk_done(&t);
}

/* RFC 5321 section 4.5.3.1.4: up to the limit with its CRLF. What is left of a longer one is no
 * command of its own. */
static void a_line_has_its_limit(void **state)
{
    struct talk t = {0};
    char line[SMTP_LINE_MAX + 1];

    memset(line, 'x', sizeof(line));
    memcpy(line, "NOOP ", 5);
    memcpy(line + SMTP_LINE_MAX - 2, "\r\n", 2);
    talk_begin(&t);
    talk_hear(&t, "220 ");
    for (size_t step = 1; step <= sizeof(line); step *= 2) {
        talk_send(&t, span_of(line, SMTP_LINE_MAX), step);
        talk_hear(&t, "250 2.0.0 ");
    }
    memcpy(line + SMTP_LINE_MAX - 1, "\r\n", 2);
    line[SMTP_LINE_MAX - 2] = 'x';
    for (size_t step = 1; step <= sizeof(line); step *= 2) {
        talk_send(&t, span_of(line, sizeof(line)), step);
        talk_hear(&t, "500 5.5.2 this line is too long");
    }
    for (int i = 0; i < 3 * SMTP_LINE_MAX; i++)
        talk_say(&t, "x");
    talk_say(&t, "QUIT\r\nRSET\r\n");
    talk_hear(&t, "500 5.5.2 this line is too long");
    talk_hear(&t, "250 2.0.0 ");
    talk_done(&t);
}

/* The storage has its time, too, and is told when it has run out; the client gets an answer. */
static void an_upload_that_hangs_is_given_up(void **state)
{
    struct talk t = {.settings = WAITS};
    char *body = calloc(1, 200000);

    memset(body, 'x', 200000);
    talk_begin(&t);
    talk_open(&t, "DATA\r\n");
    talk_hear(&t, "354 ");
    assert_int_equal(talk_send(&t, span_of(body, 100000), SIZE_MAX), 100000);
    assert_true(t.pieces > 0);
    t.blocked = 1000;
    t.unread = true; /* so that nothing lets it go on */
    pass(&t, 300);
    assert_true(talk_send(&t, span_of(body, 100000), SIZE_MAX) < 100000);
    assert_false(smtp_server_wants_input(t.server));
    assert_int_equal(left_ms(&t), 500);
    t.wakes = 0;
    pass(&t, 500);
    assert_int_equal(t.aborts, 1);
    assert_int_equal(t.wakes, 1);
    assert_true(smtp_server_wants_input(t.server));
    assert_int_equal(left_ms(&t), 2000);
    talk_say(&t, "\r\n.\r\n");
    talk_hear(&t, "451 4.3.0 ");
    assert_int_equal(t.aborts, 1);
    free(body);
    talk_done(&t);
}

/* The last piece of an upload may have to wait when the message is complete. */
static void a_complete_message_waits_for_its_last_piece(void **state)
{
    struct talk t = {.settings = WAITS};
    char *body = calloc(1, 100000);

    memset(body, 'x', 100000);
    talk_begin(&t);
    talk_open(&t, "DATA\r\n");
    talk_hear(&t, "354 ");
    talk_send(&t, span_of(body, 100000), SIZE_MAX);
    assert_true(t.pieces > 0);
    t.blocked = 2;
    talk_say(&t, "\r\n.\r\n");
    assert_int_equal(t.messages, 0);
    smtp_server_eof(t.server); /* and its client needn't wait for it */
    assert_false(smtp_server_is_over(t.server));
    pass(&t, 400);
    smtp_server_resume(t.server, 0);
    assert_int_equal(t.messages, 0);
    assert_int_equal(left_ms(&t), 500);
    t.wakes = 0;
    smtp_server_resume(t.server, 0);
    assert_int_equal(t.messages, 1);
    assert_true(t.wakes > 0);
    assert_int_equal(t.body.size, 100002);
    talk_hear(&t, "250 2.0.0 queued as ");
    assert_true(smtp_server_is_over(t.server));
    smtp_server_resume(t.server, 0); /* a late word about nothing */
    free(body);
    talk_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_deadline_counts_when),
        cmocka_unit_test(a_refused_chunk_has_the_time_of_a_body),
        cmocka_unit_test(a_session_has_an_end),
        cmocka_unit_test(without_limits_there_is_no_deadline),
        cmocka_unit_test(a_last_reply_has_its_time),
        cmocka_unit_test(who_reads_no_replies_is_not_read),
        cmocka_unit_test(the_end_of_input_takes_nothing_back),
        cmocka_unit_test(the_end_of_input_ends_half_a_message),
        cmocka_unit_test(a_shutdown_waits_for_messages_only),
        cmocka_unit_test(a_line_has_its_limit),
        cmocka_unit_test(an_upload_that_hangs_is_given_up),
        cmocka_unit_test(a_complete_message_waits_for_its_last_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
