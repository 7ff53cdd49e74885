#include "../unit.h"

#include "smtp/command.h"

#include <errno.h>

static void commands(void **state)
{
    static const struct {
        const char *line;
        enum smtp_command_result result;
        enum smtp_verb verb;
        const char *argument;
    } cases[] = {
        {"MAIL FROM:<a@b>", SMTP_COMMAND_OK, SMTP_VERB_MAIL, "FROM:<a@b>"},
        {"mAiL  FROM:<> ", SMTP_COMMAND_OK, SMTP_VERB_MAIL, "FROM:<>"},
        {"MAIL", SMTP_COMMAND_MISSING_ARGUMENT, SMTP_VERB_MAIL, ""},
        {"MAILFROM:<a@b>", SMTP_COMMAND_OK, SMTP_VERB_UNKNOWN, ""},
        {" MAIL FROM:<a@b>", SMTP_COMMAND_OK, SMTP_VERB_UNKNOWN, "MAIL FROM:<a@b>"},
        {"DATA", SMTP_COMMAND_OK, SMTP_VERB_DATA, ""},
        {"DATA ", SMTP_COMMAND_OK, SMTP_VERB_DATA, ""},
        {"DATA x", SMTP_COMMAND_UNWANTED_ARGUMENT, SMTP_VERB_DATA, "x"},
        {"RSET x", SMTP_COMMAND_UNWANTED_ARGUMENT, SMTP_VERB_RSET, "x"},
        {"QUIT", SMTP_COMMAND_OK, SMTP_VERB_QUIT, ""},
        {"NOOP", SMTP_COMMAND_OK, SMTP_VERB_NOOP, ""},
        {"NOOP a b", SMTP_COMMAND_OK, SMTP_VERB_NOOP, "a b"},
        {"NOOP\ta", SMTP_COMMAND_OK, SMTP_VERB_NOOP, "a"},
        {"NOOP \x7f", SMTP_COMMAND_BAD_BYTES, SMTP_VERB_UNKNOWN, "\x7f"},
        {"NO\x1bOP", SMTP_COMMAND_BAD_BYTES, SMTP_VERB_UNKNOWN, ""},
        {"STARTTLS", SMTP_COMMAND_OK, SMTP_VERB_ABSENT, ""},
        {"AUTH PLAIN", SMTP_COMMAND_OK, SMTP_VERB_ABSENT, "PLAIN"},
        {"GET / HTTP/1.0", SMTP_COMMAND_OK, SMTP_VERB_FOREIGN, "/ HTTP/1.0"},
        {"", SMTP_COMMAND_OK, SMTP_VERB_UNKNOWN, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct smtp_command c;
        assert_int_equal(smtp_command_parse(span_from_cstr(cases[i].line), &c), cases[i].result);
        assert_int_equal(c.verb, cases[i].verb);
        assert_span(c.argument, cases[i].argument);
    }
}

static void words(void **state)
{
    struct span text = SPAN("from: <a>");
    assert_true(smtp_command_take_word(&text, SPAN("FROM:")));
    assert_span(text, "<a>");
    text = SPAN("FROM<a>");
    assert_false(smtp_command_take_word(&text, SPAN("FROM:")));
    assert_span(text, "FROM<a>");
}

static void parameters(void **state)
{
    struct span rest = SPAN(" SIZE=10  smtputf8\tX-Y=a\xc3\xbc+2D ");
    struct smtp_parameter p;

    assert_int_equal(smtp_parameter_next(&rest, &p), 1);
    assert_span(p.word, "SIZE=10");
    assert_span(p.keyword, "SIZE");
    assert_span(p.value, "10");
    assert_true(p.has_value);
    assert_int_equal(smtp_parameter_next(&rest, &p), 1);
    assert_span(p.keyword, "smtputf8");
    assert_false(p.has_value);
    assert_int_equal(smtp_parameter_next(&rest, &p), 1);
    assert_span(p.value, "a\xc3\xbc+2D");
    assert_int_equal(smtp_parameter_next(&rest, &p), 0);
}

static void bad_parameters(void **state)
{
    static const char *const cases[] = {"=1",    "SIZE=",      "-A=1", "A_B=1",
                                        "A=1=2", "\xc3\xbc=1", "<a>"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span rest = span_from_cstr(cases[i]);
        struct smtp_parameter p;
        assert_int_equal(smtp_parameter_next(&rest, &p), -EINVAL);
        assert_span(p.word, cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands), cmocka_unit_test(words),
                                       cmocka_unit_test(parameters),
                                       cmocka_unit_test(bad_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
