#include "../unit.h"

#include "mail/seven_bit.h"
#include <errno.h>

static int convert(struct span in, size_t piece, struct buffer *out)
{
    struct seven_bit *s = seven_bit_new();
    int r = 0;

    for (size_t at = 0; r == 0 && at < in.size; at += piece)
        r = seven_bit_feed(s, span_first(span_from(in, at), piece), out);
    if (r == 0)
        r = seven_bit_end(s, out);
    assert_int_equal(r < 0, *seven_bit_problem(s) != '\0');
    seven_bit_free(s);
    return r;
}

#define QP "Content-Transfer-Encoding: quoted-printable\r\n"
#define B64 "Content-Transfer-Encoding: base64\r\n"
#define C7 "Content-Transfer-Encoding: 7bit\r\n"
#define C8 "Content-Transfer-Encoding: 8bit\r\n"
#define MIME "MIME-Version: 1.0\r\n"
#define MULTI "Content-Type: multipart/mixed; boundary=\"b b\"\r\n"

static const struct {
    const char *name, *in, *out; /* out NULL: can't be converted */
} cases[] = {
    {"text", MIME "Content-Type: text/plain; charset=utf-8\r\n" C8 "\r\n\xc3\xa4=\t\r\n",
     MIME "Content-Type: text/plain; charset=utf-8\r\n" QP "\r\n=C3=A4=3D=09\r\n"},
    {"no MIME at all", "Subject: x\r\n\r\n\xe4\r\n",
     "Subject: x\r\n" MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\n=E4\r\n"},
    {"no end of line", MIME C8 "\r\nab \xe4",
     MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nab =E4\r\n"},
    {"not text", MIME C8 "Content-Type: image/x\r\n\r\n\xff\xfe\r\n",
     MIME "Content-Type: image/x\r\n" B64 "\r\n//4NCg==\r\n"},
    {"already encoded", MIME B64 "Content-Type: image/x\r\n\r\nAAAA\r\n",
     MIME "Content-Type: image/x\r\n" B64 "\r\nAAAA\r\n"},
    {"only the part that needs it",
     MIME MULTI C8 "\r\npre\r\n--b b\r\n\r\nplain=\r\n--b b\r\nContent-Type: text/html\r\n" C8
                   "\r\n\xe4\r\n\r\n--b b \r\nContent-Type: a/b\r\n" C8
                   "\r\n\xff\r\n--b b--\r\nend\r\n",
     MIME MULTI C7 "\r\npre\r\n--b b\r\n\r\nplain=\r\n--b b\r\nContent-Type: text/html\r\n" QP
                   "\r\n=E4\r\n\r\n--b b \r\nContent-Type: a/b\r\n" B64
                   "\r\n/w==\r\n--b b--\r\nend\r\n"},
    {"nested, and the inner one has no end",
     MIME MULTI "\r\n--b b\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n" C8
                "\r\n\xe4\r\n--b b\r\n" C8 "\r\n\xe4\r\n--in\r\n--b b--\r\n",
     MIME MULTI "\r\n--b b\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n" QP
                "\r\n=E4\r\n--b b\r\n" QP "\r\n=E4\r\n--in\r\n--b b--\r\n"},
    {"an attached message",
     MIME MULTI "\r\n--b b\r\nContent-Type: message/rfc822\r\n" C8 "\r\nSubject: in\r\n" MIME
                "Content-Type: text/plain\r\n" C8 "\r\n\xe4\r\n--b b--\r\n",
     MIME MULTI "\r\n--b b\r\nContent-Type: message/rfc822\r\n" C7 "\r\nSubject: in\r\n" MIME
                "Content-Type: text/plain\r\n" QP "\r\n=E4\r\n--b b--\r\n"},
    {"digest",
     "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nA: b\r\n\r\nc\r\n--d--\r\n",
     "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nA: b\r\n" MIME
     "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nc\r\n--d--\r\n"},
    {"a fold in the type",
     MIME C8 "Content-Type: multipart/mixed;\r\n\tboundary=\"x\\y\"\r\n\r\n--xy\r\n" C8
             "\r\n\xe4\r\n--xy--\r\n",
     MIME "Content-Type: multipart/mixed;\r\n\tboundary=\"x\\y\"\r\n" C7 "\r\n--xy\r\n" QP
          "\r\n=E4\r\n--xy--\r\n"},
    {"header only", "A: b\r\n",
     "A: b\r\n" MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\n"},
    {"8-bit in the header", "A: \xe4\r\n\r\nx\r\n", NULL},
    {"says 7-bit and isn't", C7 "\r\n\xe4\r\n", NULL},
    {"a part that says nothing and is 8-bit", MIME MULTI "\r\n--b b\r\n\r\n\xe4\r\n", NULL},
};

static void messages(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t piece = 1; piece < 60; piece += 7) {
            struct buffer out = BUFFER_INIT;
            int r = convert(span_from_cstr(cases[i].in), piece, &out);
            if (r != (cases[i].out ? 0 : -EINVAL))
                fail_msg("%s: %d", cases[i].name, r);
            if (cases[i].out &&
                (out.size != strlen(cases[i].out) || memcmp(out.data, cases[i].out, out.size) != 0))
                fail_msg("%s: \"%.*s\"", cases[i].name, (int)out.size, out.data);
            buffer_done(&out);
        }
}

/* RFC 2045 6.7 rule 5 and 6.8: no line over 76. */
static void long_lines(void **state)
{
    static const char *const headers[] = {C8 "\r\n", C8 "Content-Type: a/b\r\n\r\n"};

    for (size_t h = 0; h < ARRAY_SIZE(headers); h++) {
        struct buffer in = BUFFER_INIT, out = BUFFER_INIT;
        buffer_append_span(&in, span_from_cstr(headers[h]));
        for (int i = 0; i < 5000; i++)
            buffer_append_byte(&in, (char)(i % 3 ? 'a' : 0xe4));
        buffer_append_span(&in, SPAN("\r\n"));
        assert_int_equal(convert(buffer_span(&in), 1000, &out), 0);
        struct span rest = buffer_span(&out);
        for (ptrdiff_t lf; (lf = span_find(rest, '\n')) >= 0;
             rest = span_from(rest, (size_t)lf + 1))
            assert_true(lf <= 77);
        buffer_done(&in);
        buffer_done(&out);
    }
}

static void too_much(void **state)
{
    struct buffer in = BUFFER_INIT, out = BUFFER_INIT;

    for (int i = 0; i <= SEVEN_BIT_DEPTH_MAX; i++)
        buffer_printf(&in, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    assert_int_equal(convert(buffer_span(&in), 4096, &out), -EINVAL);
    buffer_clear(&in);
    buffer_append_span(&in, SPAN("\r\n"));
    for (int i = 0; i <= SEVEN_BIT_LINE_MAX; i++)
        buffer_append_byte(&in, 'x');
    assert_int_equal(convert(buffer_span(&in), 65536, &out), -EINVAL);
    buffer_done(&in);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages), cmocka_unit_test(long_lines),
                                       cmocka_unit_test(too_much)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
