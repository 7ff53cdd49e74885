#include "../unit.h"

#include "mail/loop.h"

static bool loops(struct span message, size_t step, struct span address)
{
    struct mail_loop t = MAIL_LOOP_INIT;
    for (size_t at = 0; at < message.size; at += step)
        mail_loop_feed(&t, span_first(span_from(message, at), step));
    bool has = mail_loop_has(&t, address);
    mail_loop_done(&t);
    return has;
}

static void loop_marks(void **state)
{
    static const struct {
        struct span message;
        bool loops;
    } cases[] = {
        {SPAN("Delivered-To: bob@x.test\r\n\r\n"), true},
        {SPAN("From: a@b\r\ndelivered-to:\t Bob@X.test \r\nTo: c@d\r\n\r\nbody"), true},
        {SPAN("Delivered-To: bob@x.test\n\nlf only"), true},
        {SPAN("Delivered-To: a@x\r\nDelivered-To: bob@x.test\r\n"), true},
        {SPAN("Delivered-To: bob@x.tes\r\n\r\n"), false},
        {SPAN("Delivered-To: bob@x.testx\r\n\r\n"), false},
        {SPAN("X-Delivered-To: bob@x.test\r\n\r\n"), false},
        {SPAN("Subject: x\r\n Delivered-To: bob@x.test\r\n\r\n"), false},
        {SPAN("Subject: x\r\n\r\nDelivered-To: bob@x.test\r\n"), false},
        {SPAN("\r\nDelivered-To: bob@x.test\r\n"), false},
        {SPAN(""), false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t step = 1; step <= cases[i].message.size + 1; step++)
            assert_int_equal(loops(cases[i].message, step, SPAN("bob@x.test")), cases[i].loops);
}

/* A header line of any length is passed over, and what follows is still seen. */
static void endless_line(void **state)
{
    struct buffer b = BUFFER_INIT;
    buffer_append_span(&b, SPAN("Delivered-To: "));
    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&b, 'x');
    buffer_append_span(&b, SPAN("\r\nDelivered-To: bob@x.test\r\n\r\n"));
    assert_true(loops(buffer_span(&b), 4096, SPAN("bob@x.test")));
    assert_false(loops(buffer_span(&b), 4096, SPAN("eve@x.test")));
    buffer_done(&b);
}

/* More marks than any straight way leaves is a loop for everybody, and takes bounded memory. */
static void too_many_marks(void **state)
{
    struct buffer b = BUFFER_INIT;
    for (int i = 0; i < MAIL_LOOP_MARKS_MAX; i++)
        buffer_append_span(&b, SPAN("Delivered-To: a@x.test\r\n"));
    assert_false(loops(buffer_span(&b), 100, SPAN("bob@x.test")));
    buffer_append_span(&b, SPAN("Delivered-To: a@x.test\r\n"));
    assert_true(loops(buffer_span(&b), 100, SPAN("bob@x.test")));
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_marks),
        cmocka_unit_test(endless_line),
        cmocka_unit_test(too_many_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
