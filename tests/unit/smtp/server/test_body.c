/* Bodies of every size around what matters: where an upload begins, where a piece of it ends, and
 * what is too much. What comes out is always what went in. */
#include "talk.h"

/* Repeats `pattern` up to `size` bytes. */
static char *bytes_of(const char *pattern, size_t size)
{
    size_t length = strlen(pattern);
    char *text = malloc(size);

    for (size_t i = 0; i < size; i++)
        text[i] = pattern[i % length];
    return text;
}

/* Sends `body` by BDAT, and looks whether `expected` came out of it. */
static void assert_taken(struct span body, struct span expected, size_t step, bool normalize,
                         unsigned blocked)
{
    struct talk t = {.client.normalize = normalize, .blocked = blocked};
    char command[40];

    talk_begin(&t);
    snprintf(command, sizeof(command), "BDAT %zu LAST\r\n", body.size);
    talk_open(&t, command);
    assert_int_equal(talk_send(&t, body, step), body.size);
    while (t.messages == 0) { /* the last piece is stuck */
        assert_true(blocked > 0 && !smtp_server_wants_input(t.server));
        smtp_server_resume(t.server, 0);
    }
    talk_hear(&t, "250 2.0.0 queued as");
    assert_int_equal(t.body.size, expected.size);
    assert_memory_equal(t.body.data, expected.data, expected.size);
    assert_int_equal(t.aborts, 0);
    if (expected.size > SMTP_INLINE_MAX)
        assert_true(t.pieces > 0);
    if (expected.size < SMTP_INLINE_MAX - 8)
        assert_int_equal(t.pieces, 0);
    talk_done(&t);
}

static void any_size_around_the_pieces(void **state)
{
    static const size_t steps[] = {1, 4093, SIZE_MAX};

    for (unsigned pieces = 1; pieces <= 2; pieces++)
        for (size_t size = pieces * SMTP_INLINE_MAX - 9; size < pieces * SMTP_INLINE_MAX + 6;
             size++)
            for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                char *body = bytes_of("0123456789abcdef\r\n", size);
                if (body[size - 1] == '\r') /* alone it would be a fault */
                    body[size - 1] = '.';
                assert_taken(span_of(body, size), span_of(body, size), steps[i], false, i);
                free(body);
            }
}

/* Mended line ends make a body grow while it is read: never beyond its piece. */
static void mended_bodies_grow_within_their_pieces(void **state)
{
    static const size_t steps[] = {1, 1021, SIZE_MAX};

    for (size_t lines = SMTP_INLINE_MAX / 2 - 5; lines < SMTP_INLINE_MAX / 2 + 5; lines++)
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
            char *body = bytes_of("\n", lines), *expected = bytes_of("\r\n", 2 * lines);
            assert_taken(span_of(body, lines), span_of(expected, 2 * lines), steps[i], true, i);
            free(body);
            free(expected);
        }
}

/* RFC 3030 section 2: the last chunk may end anywhere, also within what would be a line end. */
static void a_chunk_may_end_in_a_cr(void **state)
{
    struct talk t = {0};

    talk_begin(&t);
    talk_open(&t, "BDAT 4 LAST\r\na\r\n\r");
    talk_hear(&t, "554 5.6.0 line 2 of the message holds a CR without LF");
    assert_int_equal(t.messages, 0);
    talk_done(&t);
    assert_taken(SPAN("a\r\n\r"), SPAN("a\r\n "), SIZE_MAX, true, 0);
}

/* Sends a header of `size` bytes with its empty line, and returns whether it was taken. */
static bool takes_header(size_t size)
{
    struct talk t = {0};
    char *header = bytes_of("X-Filler: 0123456789012345678901234567\r\n", size);

    memcpy(header + size - 6, "ab\r\n\r\n", 6);
    talk_begin(&t);
    talk_open(&t, "DATA\r\n");
    talk_hear(&t, "354 ");
    talk_send(&t, span_of(header, size), SIZE_MAX);
    talk_say(&t, "Not: a field of the header\r\n.\r\n");
    bool taken = t.messages == 1;
    talk_hear(&t, taken ? "250 2.0.0" : "554 5.6.0 the header of the message is too large (ref");
    assert_int_equal(t.aborts, taken ? 0 : 1);
    free(header);
    talk_done(&t);
    return taken;
}

static void a_header_has_its_limit(void **state)
{
    assert_true(takes_header(SMTP_HEADER_MAX));
    assert_false(takes_header(SMTP_HEADER_MAX + 1));
}

static bool takes_line(size_t size, bool chunk)
{
    struct talk t = {0};
    char *line = bytes_of("x", size), command[40] = "DATA\r\n";

    talk_begin(&t);
    if (chunk)
        snprintf(command, sizeof(command), "BDAT %zu LAST\r\n", size + 2);
    talk_open(&t, command);
    talk_send(&t, span_of(line, size), 8192);
    talk_say(&t, "\r\n");
    if (!chunk) {
        talk_hear(&t, "354 ");
        talk_say(&t, ".\r\n");
    }
    bool taken = t.messages == 1;
    talk_hear(&t, taken ? "250 2.0.0" : "554 5.6.0 line 1 of the message is too long (reference");
    free(line);
    talk_done(&t);
    return taken;
}

static void a_line_has_its_limit(void **state)
{
    assert_true(takes_line(SMTP_BODY_LINE_MAX, false));
    assert_false(takes_line(SMTP_BODY_LINE_MAX + 1, false));
    assert_true(takes_line(SMTP_BODY_LINE_MAX, true));
    assert_false(takes_line(SMTP_BODY_LINE_MAX + 1, true));
}

/* RFC 5321 section 6.3, RFC 1870 section 6.1: up to the limit, and one more. */
static const char *verdict_on(struct talk *t, const char *body)
{
    talk_begin(t);
    talk_open(t, "DATA\r\n");
    talk_hear(t, "354 ");
    talk_say(t, body);
    return talk_hear(t, "");
}

static void a_message_has_its_limits(void **state)
{
    struct talk exact = {.settings.message_size_max = 8}, more = {.settings.message_size_max = 8};
    struct talk hops = {.settings.hops_max = 1}, circle = {.settings.hops_max = 1};
    struct talk no_limits = {0};

    assert_non_null(strstr(verdict_on(&exact, "a: b\r\n..\r\n.\r\n"), "552 "));
    talk_done(&exact);
    exact = (struct talk){.settings.message_size_max = 9};
    assert_non_null(strstr(verdict_on(&exact, "a: b\r\n..\r\n.\r\n"), "250 "));
    talk_done(&exact);
    assert_non_null(strstr(verdict_on(&more, "a: bc\r\n\r\n.\r\n"), "552 5.3.4"));
    talk_done(&more);
    assert_non_null(strstr(verdict_on(&hops, "Received: x\r\n\r\n.\r\n"), "250 "));
    talk_done(&hops);
    assert_non_null(
        strstr(verdict_on(&circle, "Received: x\r\nreceived: y\r\n\r\n.\r\n"), "554 5.4.6"));
    talk_done(&circle);
    assert_non_null(
        strstr(verdict_on(&no_limits, "Received: x\r\nreceived: y\r\n\r\n.\r\n"), "250 "));
    talk_done(&no_limits);
}

/* Who sends is told what he can act on. */
static void why_an_upload_is_lost(void **state)
{
    static const struct {
        int error;
        const char *reply;
    } cases[] = {
        {-ENOSPC, "452 4.3.1 the disk is full, please try later"},
        {-EMSGSIZE, "552 5.3.4 the message is larger than we take"},
        {-EUSERS, "451 4.3.2 too many large messages at the same time"},
        {-EMFILE, "451 4.3.0 the message could not be stored, please try later"},
        {-EIO, "451 4.3.0 the message could not be stored, please try later"},
    };
    char *body = bytes_of("0123456\r\n", 100008);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct talk t = {0};
        talk_begin(&t);
        talk_open(&t, "DATA\r\n");
        talk_hear(&t, "354 ");
        talk_send(&t, span_of(body, 100008), 5000);
        smtp_server_resume(t.server, cases[i].error);
        talk_say(&t, ".\r\n");
        talk_hear(&t, cases[i].reply);
        talk_done(&t);
    }
    free(body);
}

/* Lost pieces are no part of what comes later in the session. */
static void a_lost_upload_leaves_nothing(void **state)
{
    struct talk t = {0};
    char *body = bytes_of("0123456\r\n", 100008);

    talk_begin(&t);
    talk_open(&t, "DATA\r\n");
    talk_hear(&t, "354 ");
    talk_send(&t, span_of(body, 100008), 5000);
    assert_true(t.pieces > 0);
    smtp_server_resume(t.server, -EIO);
    talk_say(&t, ".\r\n");
    talk_hear(&t, "451 4.3.0 the message could not be stored");
    assert_int_equal(t.aborts, 0); /* who lost it knows */
    t.pieces = 0;
    talk_say(&t, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n");
    assert_span(buffer_span(&t.body), "x\r\n");
    assert_int_equal(t.pieces, 0);
    free(body);
    talk_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_size_around_the_pieces),
        cmocka_unit_test(mended_bodies_grow_within_their_pieces),
        cmocka_unit_test(a_chunk_may_end_in_a_cr),
        cmocka_unit_test(a_header_has_its_limit),
        cmocka_unit_test(a_line_has_its_limit),
        cmocka_unit_test(a_message_has_its_limits),
        cmocka_unit_test(why_an_upload_is_lost),
        cmocka_unit_test(a_lost_upload_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
