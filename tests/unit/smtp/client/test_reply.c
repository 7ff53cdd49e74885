#include "../../unit.h"

#include "smtp/client/reply.h"
#include <errno.h>
#include <stdlib.h>

static int read_all(struct smtp_heard *h, struct span in, size_t piece, size_t *out_used)
{
    int r = 0;
    size_t at = 0, used;

    while (r == 0 && at < in.size) {
        r = smtp_heard_feed(h, span_first(span_from(in, at), piece), &used);
        at += used;
    }
    *out_used = at;
    return r;
}

static void replies(void **state)
{
    static const struct {
        const char *in;
        int result;
        unsigned code;
        const char *text, *status;
        size_t rest; /* bytes of `in` that belong to the next reply */
    } cases[] = {
        {"250 ok\r\n", 1, 250, "250 ok", "2.0.0", 0},
        {"250 ok\n", 1, 250, "250 ok", "2.0.0", 0},
        {"250\r\n", 1, 250, "250", "2.0.0", 0},
        {"250-\r\n250\r\n", 1, 250, "250-\n250", "2.0.0", 0},
        {"550-5.1.1 a\r\n550 5.1.1 b\r\n", 1, 550, "550-5.1.1 a\n550 5.1.1 b", "5.1.1", 0},
        {"550 5.7.123 a\r\n250 next\r\n", 1, 550, "550 5.7.123 a", "5.7.123", 10},
        {"550 5.7.1234 a\r\n", 1, 550, "550 5.7.1234 a", "5.0.0", 0},
        {"550 5.7.1.2 a\r\n", 1, 550, "550 5.7.1.2 a", "5.0.0", 0},
        {"550 4.7.1 a\r\n", 1, 550, "550 4.7.1 a", "5.0.0", 0},
        {"450 4.7.1\r\n", 1, 450, "450 4.7.1", "4.7.1", 0},
        {"550 5.1.1\r\n", 1, 550, "550 5.1.1", "5.1.1", 0},
        {"550 5.1.1.\r\n", 1, 550, "550 5.1.1.", "5.0.0", 0},
        {"550 5.1.1x\r\n", 1, 550, "550 5.1.1x", "5.1.1", 0},
        {"550 5.123.456 a\r\n", 1, 550, "550 5.123.456 a", "5.123.456", 0},
        {"550 5.1234.1 a\r\n", 1, 550, "550 5.1234.1 a", "5.0.0", 0},
        {"550 5x1.1 a\r\n", 1, 550, "550 5x1.1 a", "5.0.0", 0},
        {"550 5.1x1 a\r\n", 1, 550, "550 5.1x1 a", "5.0.0", 0},
        {"550 5..1 a\r\n", 1, 550, "550 5..1 a", "5.0.0", 0},
        {"550 5.1. a\r\n", 1, 550, "550 5.1. a", "5.0.0", 0},
        {"550 5.123\r\n", 1, 550, "550 5.123", "5.0.0", 0},
        {"550 5.1.\r\n", 1, 550, "550 5.1.", "5.0.0", 0},
        {"550-first\r\n550 5.1.1 second\r\n", 1, 550, "550-first\n550 5.1.1 second", "5.0.0", 0},
        {"354 go\r\n", 1, 354, "354 go", "4.0.0", 0},
        {"354 3.1.1 go\r\n", 1, 354, "354 3.1.1 go", "4.0.0", 0},
        {"220 a\rb\r\r\n", 1, 220, "220 a\rb\r", "2.0.0", 0},
        {"250-ok\r\n", 0, 250, "250-ok\n", "2.0.0", 0},
        {"250-a\r\n251 b\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"25\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"100 a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"600 a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"250_a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"2:0 a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"2/0 a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"-250 a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"250-a\r\n\r\n250 b\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"2500 a\r\n", -EPROTO, 0, NULL, NULL, 0},
        {"HTTP/1.1 200 OK\r\n", -EPROTO, 0, NULL, NULL, 0},
    };
    char status[SMTP_HEARD_STATUS_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t piece = 1; piece < 40; piece += 3) {
            struct span in = span_from_cstr(cases[i].in);
            struct smtp_heard h;
            size_t used;
            smtp_heard_init(&h);
            assert_int_equal(read_all(&h, in, piece, &used), cases[i].result);
            if (cases[i].result < 0)
                continue;
            assert_int_equal(used, in.size - cases[i].rest);
            assert_int_equal(h.code, cases[i].code);
            assert_span(smtp_heard_text(&h), cases[i].text);
            smtp_heard_status(&h, status);
            assert_string_equal(status, cases[i].status);
        }
}

static void limits(void **state)
{
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    struct smtp_heard h;
    size_t used;

    memset(text, 'x', SIZE);
    memcpy(text, "250 ", 4);
    smtp_heard_init(&h);
    assert_int_equal(smtp_heard_feed(&h, span_of(text, SIZE), &used), -EPROTO);
    assert_true(used <= SMTP_HEARD_LINE_MAX + 1 && h.kept == SMTP_HEARD_KEPT);
    for (size_t i = 0; i < SIZE; i += 8)
        memcpy(text + i, "250-ab\r\n", 8);
    smtp_heard_init(&h);
    assert_int_equal(smtp_heard_feed(&h, span_of(text, SIZE), &used), -EPROTO);
    assert_int_equal(used, SMTP_HEARD_TOTAL_MAX + 1);
    free(text);
}

/* RFC 5321 section 4.5.3.1.5 asks for 512: up to the limit it is a reply, whatever is kept of it.
 */
static void the_longest_line(void **state)
{
    char line[SMTP_HEARD_LINE_MAX + 2];
    struct smtp_heard h;
    size_t used;

    memset(line, 'x', sizeof(line));
    memcpy(line, "550 ", 4);
    line[SMTP_HEARD_LINE_MAX] = '\n';
    smtp_heard_init(&h);
    assert_int_equal(smtp_heard_feed(&h, span_of(line, SMTP_HEARD_LINE_MAX + 1), &used), 1);
    assert_int_equal(h.code, 550);
    assert_int_equal(smtp_heard_text(&h).size, SMTP_HEARD_KEPT);
    line[SMTP_HEARD_LINE_MAX] = 'x';
    line[SMTP_HEARD_LINE_MAX + 1] = '\n';
    assert_int_equal(smtp_heard_feed(&h, span_of(line, sizeof(line)), &used), -EPROTO);
}

/* The lines without their codes, as they are looked through for extensions. */
static void lines_of_a_reply(void **state)
{
    struct span rest = SPAN("250-a b\n250-\n250\n250 c"), line;

    assert_true(smtp_heard_line(&rest, &line));
    assert_span(line, "a b");
    assert_true(smtp_heard_line(&rest, &line));
    assert_span(line, "");
    assert_true(smtp_heard_line(&rest, &line));
    assert_span(line, "");
    assert_true(smtp_heard_line(&rest, &line));
    assert_span(line, "c");
    assert_false(smtp_heard_line(&rest, &line));
}

static void remote_ids(void **state)
{
    char longest[256] = "250 queued as ";
    static const struct {
        const char *text, *id;
    } cases[] = {
        {"250 2.0.0 Ok: queued as 4F1A2B3C", "4F1A2B3C"},
        {"250 2.0.0 queued as 0HJ2K3M4N5P6Q7R8", "0HJ2K3M4N5P6Q7R8"},
        {"250 OK id=1rXyZ0-0001Ab-2C", "1rXyZ0-0001Ab-2C"},
        {"250 2.0.0 4ALKx123 Message accepted for delivery", "4ALKx123"},
        {"250 ok 1699999999 qp 12345", "12345"},
        {"250 2.6.0 <a1@b> [InternalId=1234567, Hostname=x] 99 bytes Queued mail for delivery",
         "1234567"},
        {"250 2.0.0 OK  1699999999 a1-2bc3.45 - gsmtp", "a1-2bc3.45"},
        {"250 2.0.0 Ok: queued as <ab12>.", "ab12"},
        {"250 2.0.0 Ok: queued for delivery", ""},
        {"250 OK id=AZaz09-._:/+=@$", "AZaz09-._:/+=@$"},
        {"250 Queued as 0a9!rest", "0a9"},
        {"250 queued as a9", ""},
        {"250 queued as a90.;,", "a90"},
        {"250 queued as", ""},
        {"250 queued as <", ""},
        {"A12 Message accepted for delivery", "A12"},
        {" Message accepted for delivery", ""},
        /* The phrase that tells more comes first, and the next one is tried when it has no id.
         */
        {"250 id=abc1 queued as def2", "def2"},
        {"250 queued as none id=abc1", "abc1"},
        {"250 2.0.0 Ok", ""},
        {"250 queued as \x1b[2J1", ""},
        {"", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_span(smtp_remote_id(span_from_cstr(cases[i].text)), cases[i].id);
    memset(longest + 14, '1', 129);
    assert_int_equal(smtp_remote_id(span_of(longest, 14 + 128)).size, 128);
    assert_int_equal(smtp_remote_id(span_of(longest, 14 + 129)).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies), cmocka_unit_test(limits), cmocka_unit_test(the_longest_line),
        cmocka_unit_test(lines_of_a_reply), cmocka_unit_test(remote_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
