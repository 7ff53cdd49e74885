#include "../unit.h"

#include "mail/dsn.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void notify(void **state)
{
    static const struct {
        const char *value;
        int flags; /* -1: refused */
        const char *written;
    } cases[] = {
        {"NEVER", ENVELOPE_NOTIFY_NEVER, "NEVER"},
        {"never", ENVELOPE_NOTIFY_NEVER, "NEVER"},
        {"SUCCESS", ENVELOPE_NOTIFY_SUCCESS, "SUCCESS"},
        {"delay,Success,FAILURE", 14, "SUCCESS,FAILURE,DELAY"},
        {"DELAY,DELAY", ENVELOPE_NOTIFY_DELAY, "DELAY"},
        {"NEVER,DELAY", -1, ""},
        {"", -1, ""},
        {",", -1, ""},
        {"DELAY,", -1, ""},
        {"DELAY ,FAILURE", -1, ""},
        {"ALWAYS", -1, ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[DSN_NOTIFY_TEXT];
        uint8_t flags = 77;
        int r = dsn_parse_notify(span_from_cstr(cases[i].value), &flags);
        if (cases[i].flags < 0) {
            assert_int_equal(r, -EINVAL);
            assert_int_equal(flags, 77);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(flags, cases[i].flags);
        dsn_format_notify(flags, text);
        assert_string_equal(text, cases[i].written);
    }
}

static void how_much_comes_back(void **state)
{
    uint8_t value = 77;

    assert_int_equal(dsn_parse_return(SPAN("full"), &value), 0);
    assert_int_equal(value, ENVELOPE_RETURN_FULL);
    assert_int_equal(dsn_parse_return(SPAN("HDRS"), &value), 0);
    assert_int_equal(value, ENVELOPE_RETURN_HEADER);
    assert_int_equal(dsn_parse_return(SPAN("HDR"), &value), -EINVAL);
    assert_int_equal(dsn_parse_return(SPAN(""), &value), -EINVAL);
}

/* As an envelope id, and what it stands for; NULL: refused. */
static void xtext(void **state)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        {"abc", "abc"}, {"a+2Bb", "a+b"},  {"a+3Db+20c", "a=b c"}, {"+7E", "~"},   {"a+2bb", NULL},
        {"a+", NULL},   {"a+2", NULL},     {"a=b", NULL},          {"a b", NULL},  {"a+0Ab", NULL},
        {"a+7F", NULL}, {"a+C3+A4", NULL}, {"\xc3\xa4", NULL},     {"a\tb", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT, again = BUFFER_INIT;
        struct span value = span_from_cstr(cases[i].value);
        int r = dsn_xtext_decode(value, &out);
        assert_int_equal(dsn_is_envelope_id(value), cases[i].text != NULL);
        assert_int_equal(r, cases[i].text ? 0 : -EINVAL);
        if (cases[i].text) {
            assert_span(buffer_span(&out), cases[i].text);
            assert_int_equal(dsn_xtext_encode(buffer_span(&out), &again), 0);
            if (value.data[0] != '+') /* which needn't be encoded */
                assert_span(buffer_span(&again), cases[i].value);
        }
        buffer_done(&out);
        buffer_done(&again);
    }
}

static void lengths(void **state)
{
    char text[600];

    memset(text, 'a', sizeof(text));
    assert_false(dsn_is_envelope_id(SPAN("")));
    assert_true(dsn_is_envelope_id(span_of(text, ENVELOPE_ENVID_MAX)));
    assert_false(dsn_is_envelope_id(span_of(text, ENVELOPE_ENVID_MAX + 1)));
    memcpy(text, "rfc822;", 7);
    assert_true(dsn_is_original(span_of(text, ENVELOPE_ORCPT_MAX), false));
    assert_false(dsn_is_original(span_of(text, ENVELOPE_ORCPT_MAX + 1), false));
}

static void original_recipients(void **state)
{
    static const struct {
        const char *value;
        bool ascii, utf8;              /* taken without and with SMTPUTF8 */
        const char *shown, *for_ascii; /* NULL: not looked at */
    } cases[] = {
        {"rfc822;Bob@a.test", true, true, "rfc822;Bob@a.test", "rfc822;Bob@a.test"},
        {"rfc822;b+2Bc@a.test", true, true, "rfc822;b+c@a.test", "rfc822;b+2Bc@a.test"},
        {"x400;/C+3Dde/", true, true, "x400;/C=de/", NULL},
        {"utf-8;j\xc3\xbcrgen@a.test", false, true, "utf-8;j\xc3\xbcrgen@a.test",
         "utf-8;j\\x{FC}rgen@a.test"},
        {"UTF-8;\xf0\x9f\x93\xae@a.test", false, true, "UTF-8;\xf0\x9f\x93\xae@a.test",
         "UTF-8;\\x{1F4EE}@a.test"},
        {"utf-8;j\\x{FC}rgen@a.test", true, true, "utf-8;j\\x{FC}rgen@a.test",
         "utf-8;j\\x{FC}rgen@a.test"},
        {"utf-8;j\\x{fc}rg\xc3\xabn@a.test", false, true, "utf-8;j\\x{fc}rg\xc3\xabn@a.test",
         "utf-8;j\\x{fc}rg\\x{EB}n@a.test"},
        {"utf-8;a+b@a.test", false, false, NULL, NULL},
        {"utf-8;a\xff@a.test", false, false, NULL, NULL},
        {"utf-8;a\xe2\x80\xa8@a.test", false, false, NULL, NULL},
        {"rfc822;j\xc3\xbcrgen@a.test", false, false, NULL, NULL},
        {"rfc822", false, false, NULL, NULL},
        {"rfc822;", false, false, NULL, NULL},
        {";bob@a.test", false, false, NULL, NULL},
        {"rf c;bob@a.test", false, false, NULL, NULL},
        {"rfc822:;bob@a.test", false, false, NULL, NULL},
        {"rfc822;b+0D+0Ab@a.test", false, false, NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span value = span_from_cstr(cases[i].value);
        struct buffer out = BUFFER_INIT;
        assert_int_equal(dsn_is_original(value, false), cases[i].ascii);
        assert_int_equal(dsn_is_original(value, true), cases[i].utf8);
        if (cases[i].shown) {
            assert_int_equal(dsn_original_decode(value, &out), 0);
            assert_span(buffer_span(&out), cases[i].shown);
        }
        buffer_clear(&out);
        if (cases[i].for_ascii) {
            assert_int_equal(dsn_original_ascii(value, &out), 0);
            assert_span(buffer_span(&out), cases[i].for_ascii);
        }
        buffer_done(&out);
    }
}

/* RFC 6533 section 3: a backslash begins \x{HEX} and nothing else, and that stands only for what
 * couldn't be written as it is. */
static void escapes_in_an_original_recipient(void **state)
{
    static const struct {
        const char *address;
        bool taken;
    } cases[] = {
        {"\\x{20}\\x{2B}\\x{3D}\\x{5C}@a.test", true},
        {"\\x{A0}", true},
        {"\\x{7FF}\\x{800}", true},
        {"\\x{D7FF}\\x{E000}", true},
        {"\\x{10FFFF}", true},
        {"\\x{110000}", false},
        {"\\x{FFFFFFFC}", false},
        {"\\x{10FFFF0}", false},
        {"\\x{D800}", false},
        {"\\x{DFFF}", false},
        {"\\x{9F}", false},
        {"\\x{7F}", false},
        {"\\x{D}", false},
        {"\\x{0A}", false},
        {"\\x{41}", false},
        {"\\x{0FC}", false},
        {"\\x{}", false},
        {"\\x{fc}\\x{10fFfF}\\x{2b}", true},
        {"\\x{0fc}", false},
        {"\\x{dfff}", false},
        {"\\x{fg}", false},
        {"\\x{`0}", false},
        {"\\x{FC", false},
        {"\\x{FG}", false},
        {"\\xFC", false},
        {"\\X{FC}", false},
        {"a\\b@a.test", false},
        {"a\\\\@a.test", false},
        {"a\\", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (int utf8 = 0; utf8 < 2; utf8++) {
            char value[80];
            size_t size = (size_t)snprintf(value, sizeof(value), "utf-8;%s", cases[i].address);
            char *copy = malloc(size); /* so that a look beyond its end is noticed */
            memcpy(copy, value, size);
            if (dsn_is_original(span_of(copy, size), utf8) != cases[i].taken)
                print_error("%s\n", value);
            assert_int_equal(dsn_is_original(span_of(copy, size), utf8), cases[i].taken);
            free(copy);
        }
}

static void wishes(void **state)
{
    const uint8_t S = ENVELOPE_NOTIFY_SUCCESS, F = ENVELOPE_NOTIFY_FAILURE,
                  D = ENVELOPE_NOTIFY_DELAY, N = ENVELOPE_NOTIFY_NEVER;
    const struct {
        uint8_t notify;
        bool success, failure, delay;
        uint8_t after_fan_out;
    } cases[] = {
        {0, false, true, true, 0},
        {N, false, false, false, N},
        {S, true, false, false, N},
        {F, false, true, false, F},
        {D, false, false, true, D},
        {S | F, true, true, false, F},
        {S | F | D, true, true, true, F | D},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t notify = cases[i].notify;
        assert_int_equal(dsn_wants(notify, S), cases[i].success);
        assert_int_equal(dsn_wants(notify, F), cases[i].failure);
        assert_int_equal(dsn_wants(notify, D), cases[i].delay);
        assert_int_equal(dsn_notify_after_fan_out(notify), cases[i].after_fan_out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notify),
        cmocka_unit_test(how_much_comes_back),
        cmocka_unit_test(xtext),
        cmocka_unit_test(lengths),
        cmocka_unit_test(wishes),
        cmocka_unit_test(original_recipients),
        cmocka_unit_test(escapes_in_an_original_recipient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
