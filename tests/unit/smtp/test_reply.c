#include "../unit.h"

#include "smtp/reply.h"

static void lines(void **state)
{
    static const struct smtp_reply reply = {550, "5.1.1", "no"};
    static const struct smtp_reply plain = {250, NULL, "yes"};
    struct buffer out = BUFFER_INIT;

    smtp_reply_write(&out, &reply);
    smtp_reply_line(&out, &plain, SPAN("first"), false);
    smtp_reply_line(&out, &plain, SPAN("last"), true);
    assert_span(buffer_span(&out), "550 5.1.1 no\r\n250-first\r\n250 last\r\n");
    buffer_done(&out);
}

static void hostile_text(void **state)
{
    static const struct smtp_reply reply = {550, "5.1.1", "a\r\n250 ok\t\x1b[2J\xc3\xbc\x7f"};
    struct buffer out = BUFFER_INIT;

    smtp_reply_write(&out, &reply);
    assert_span(buffer_span(&out), "550 5.1.1 a??250 ok??[2J???\r\n");
    buffer_done(&out);
}

static void long_text(void **state)
{
    static const struct smtp_reply reply = {550, "5.1.1", NULL};
    char text[2000];
    struct buffer out = BUFFER_INIT;

    memset(text, 'x', sizeof(text));
    smtp_reply_line(&out, &reply, span_of(text, sizeof(text)), true);
    assert_true(out.size <= 512);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(hostile_text),
                                       cmocka_unit_test(long_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
