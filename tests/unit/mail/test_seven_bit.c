#include "../unit.h"

#include "mail/seven_bit.h"
#include <errno.h>
#include <stdlib.h>

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
    {"binary", MIME "Content-Transfer-Encoding: binary\r\nContent-Type: a/b\r\n\r\n\xff\r\n\r\n",
     MIME "Content-Type: a/b\r\n" B64 "\r\n/w0KDQo=\r\n"},
    {"lines of what isn't text", C8 "Content-Type: a/b\r\n\r\na\r\n\xff",
     "Content-Type: a/b\r\n" MIME B64 "\r\nYQ0K/w==\r\n"},
    {"text of which nothing is told, among parts",
     MIME MULTI "\r\n--b b\r\n" C8 C7 "\r\n\xe4\r\n--b b--\r\n",
     MIME MULTI "\r\n--b b\r\n" QP "\r\n=E4\r\n--b b--\r\n"},
    {"parts of which all are encoded already",
     MIME MULTI C8 "\r\n--b b\r\n" B64 "\r\nAAAA\r\n--b b\r\n" QP "\r\n=\r\n--b b--\r\n",
     MIME MULTI C7 "\r\n--b b\r\n" B64 "\r\nAAAA\r\n--b b\r\n" QP "\r\n=\r\n--b b--\r\n"},
    {"a message that is encoded isn't looked into",
     MIME B64 "Content-Type: message/rfc822\r\n\r\nQTogYg==\r\n",
     MIME "Content-Type: message/rfc822\r\n" B64 "\r\nQTogYg==\r\n"},
    {"nor is a multipart", MIME B64 MULTI "\r\n--b b\r\n" C8 "\r\nx\r\n",
     MIME MULTI B64 "\r\n--b b\r\n" C8 "\r\nx\r\n"},
    {"what looks like a boundary",
     MIME MULTI C8 "\r\n--b bc\r\n-\r\n--\r\n-b b\r\n--b b\r\n" C8
                   "\r\n\xe4\r\n--b bx--\r\n--b b-\r\n--b b--",
     MIME MULTI C7 "\r\n--b bc\r\n-\r\n--\r\n-b b\r\n--b b\r\n" QP
                   "\r\n=E4\r\n--b bx--\r\n--b b-\r\n--b b--\r\n"},
    {"behind the end of an inner multipart",
     MIME MULTI "\r\n--b b\r\nContent-Type: multipart/x; boundary=in\r\n\r\n--in\r\n\r\n"
                "x\r\n--in--\r\nepilogue\r\n--in\r\nno part\r\n--b b\r\n" C8
                "\r\n\xe4\r\n--b b--\r\n",
     MIME MULTI "\r\n--b b\r\nContent-Type: multipart/x; boundary=in\r\n\r\n--in\r\n\r\n"
                "x\r\n--in--\r\nepilogue\r\n--in\r\nno part\r\n--b b\r\n" QP
                "\r\n=E4\r\n--b b--\r\n"},
    {"a part that ends in its header",
     MIME MULTI "\r\n--b b\r\nContent-Type: a/b\r\n x\r\n--b b\r\n\r\nx\r\n--b b--\r\n",
     MIME MULTI "\r\n--b b\r\nContent-Type: a/b\r\n x\r\n--b b\r\n\r\nx\r\n--b b--\r\n"},
    {"a body without an empty line in front", MIME C8 "no field\r\n\xe4\r\n",
     MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nno field\r\n=E4\r\n"},
    {"an attached message without a header",
     MIME MULTI "\r\n--b b\r\nContent-Type: message/rfc822\r\n\r\n\r\nx\r\n--b b--\r\n",
     MIME MULTI "\r\n--b b\r\nContent-Type: message/rfc822\r\n\r\n" MIME
                "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nx\r\n--b b--\r\n"},
    {"a folded first line", " x: y\r\n\r\nz\r\n",
     MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\n x: y\r\n\r\nz\r\n"},
    {"line ends of local files", MIME C8 "\n\xe4\n\n",
     MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\n=E4\r\n\r\n"},
    {"bytes at the borders of what is plain", MIME C8 "\r\n!<>~=\x7f\x01 \t\r\n\xe4 \r\n\t\r\n",
     MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP
          "\r\n!<>~=3D=7F=01 =09\r\n=E4=20\r\n=09\r\n"},
    {"nothing", "", MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\n"},
    {"header only", "A: b\r\n",
     "A: b\r\n" MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\n"},
    {"8-bit in the header", "A: \xe4\r\n\r\nx\r\n", NULL},
    {"says 7-bit and isn't", C7 "\r\n\xe4\r\n", NULL},
    {"8-bit in the header of a part", MIME MULTI "\r\n--b b\r\nA: \xe4\r\n\r\nx\r\n", NULL},
    {"8-bit behind a boundary", MIME MULTI "\r\n--b b\r\n\r\nx\r\n--b b--\xe4\r\n", NULL},
    {"8-bit in a preamble", MIME MULTI C8 "\r\n\xe4\r\n--b b\r\n\r\nx\r\n--b b--\r\n", NULL},
    {"8-bit in an epilogue", MIME MULTI C8 "\r\n--b b\r\n\r\nx\r\n--b b--\r\n\xe4\r\n", NULL},
    /* RFC 2045 6.4: these may not be encoded, whatever is in them. */
    {"a multipart without a boundary", MIME C8 "Content-Type: multipart/mixed\r\n\r\n\xe4\r\n",
     NULL},
    {"a report on a delivery",
     MIME MULTI "\r\n--b b\r\nContent-Type: message/delivery-status\r\n" C8 "\r\n\xe4\r\n", NULL},
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

static int hex(char c)
{
    const char *digits = "0123456789ABCDEF", *at = memchr(digits, c, 16);
    assert_non_null(at);
    return (int)(at - digits);
}

/* RFC 2045 6.7, read as the receiver's program will. */
static void decode_quoted(struct span in, struct buffer *out)
{
    for (size_t i = 0; i < in.size; i++) {
        if (in.data[i] != '=') {
            buffer_append_byte(out, in.data[i]);
        } else if (in.data[i + 1] == '\r') {
            i += 2;
        } else {
            buffer_append_byte(out, (char)(16 * hex(in.data[i + 1]) + hex(in.data[i + 2])));
            i += 2;
        }
    }
}

/* RFC 2045 6.8. */
static void decode_base64(struct span in, struct buffer *out)
{
    const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, value = 0;

    for (size_t i = 0; i < in.size; i++) {
        const char *at = in.data[i] ? strchr(alphabet, in.data[i]) : NULL;
        if (!at) {
            assert_true(strchr("=\r\n", in.data[i]));
            continue;
        }
        value = value << 6 | (unsigned)(at - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buffer_append_byte(out, (char)(value >> bits & 0xff));
        }
    }
}

/* Nothing is damaged: what a reader decodes is what was sent, of every length and with every byte.
 */
static void what_is_decoded_is_what_was_sent(void **state)
{
    unsigned seed = 1;

    for (size_t size = 0; size < 400; size++)
        for (int text = 0; text < 2; text++) {
            struct buffer in = BUFFER_INIT, out = BUFFER_INIT, again = BUFFER_INIT;
            const char *type = text ? "Content-Type: text/x\r\n" : "Content-Type: a/b\r\n";
            buffer_printf(&in, "%s" C8 "\r\n", type);
            size_t start = in.size;
            for (size_t i = 0; i < size; i++) {
                char c = size > 380 ? ' ' : (char)(rand_r(&seed) % 255 + 1);
                buffer_append_byte(&in, c == '\r' || c == '\n' ? '=' : c);
                if (rand_r(&seed) % 40 == 0)
                    buffer_append_span(&in, SPAN("\r\n"));
            }
            buffer_append_span(&in, SPAN("\r\n"));
            assert_int_equal(convert(buffer_span(&in), 7, &out), 0);
            const char *body = memmem(out.data, out.size, "\r\n\r\n", 4);
            assert_non_null(body);
            struct span got = span_from(buffer_span(&out), (size_t)(body - out.data) + 4);
            if (text)
                decode_quoted(got, &again);
            else
                decode_base64(got, &again);
            struct span sent = span_from(buffer_span(&in), start);
            assert_int_equal(again.size, sent.size);
            assert_memory_equal(again.data, sent.data, sent.size);
            for (struct span line; span_next_line(&got, &line);) {
                assert_true(line.size <= 77);
                assert_true(line.size < 2 || !strchr(" \t", line.data[line.size - 2]));
            }
            buffer_done(&in);
            buffer_done(&out);
            buffer_done(&again);
        }
}

/* The limits are told as what they are, and hold to the byte. */
static void limits(void **state)
{
    for (size_t more = 0; more < 2; more++) {
        struct buffer in = BUFFER_INIT, out = BUFFER_INIT;
        buffer_append_span(&in, SPAN("A: "));
        while (in.size < SEVEN_BIT_FIELD_MAX - 2 + more)
            buffer_append_span(&in, in.size % 64 ? SPAN("x") : SPAN(" "));
        buffer_append_span(&in, SPAN("\r\n\r\nx\r\n"));
        assert_int_equal(convert(buffer_span(&in), 4096, &out), more ? -EINVAL : 0);
        buffer_clear(&in);
        buffer_clear(&out);
        buffer_append_span(&in, SPAN("\r\n"));
        while (in.size < SEVEN_BIT_LINE_MAX + 1 + more)
            buffer_append_byte(&in, 'x');
        buffer_append_span(&in, SPAN("\r\n"));
        assert_int_equal(convert(buffer_span(&in), 4096, &out), more ? -EINVAL : 0);
        buffer_clear(&in);
        buffer_clear(&out);
        for (size_t i = 0; i < SEVEN_BIT_DEPTH_MAX + more; i++)
            buffer_printf(&in, "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", i,
                          i);
        buffer_append_span(&in, SPAN("\r\nx\r\n"));
        assert_int_equal(convert(buffer_span(&in), 4096, &out), more ? -EINVAL : 0);
        buffer_done(&in);
        buffer_done(&out);
    }
}

/* What was wrong stays wrong, however much comes behind it. */
static void a_problem_stays(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct seven_bit *s = seven_bit_new();

    assert_string_equal(seven_bit_problem(s), "");
    assert_int_equal(seven_bit_feed(s, SPAN("A: \xe4\r\nB: c\r\n"), &out), -EINVAL);
    assert_non_null(strstr(seven_bit_problem(s), "header isn't ASCII"));
    assert_int_equal(seven_bit_feed(s, SPAN("\r\nx\r\n"), &out), -EINVAL);
    assert_int_equal(seven_bit_end(s, &out), -EINVAL);
    assert_non_null(strstr(seven_bit_problem(s), "header isn't ASCII"));
    seven_bit_free(s);
    buffer_done(&out);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages),
                                       cmocka_unit_test(long_lines),
                                       cmocka_unit_test(what_is_decoded_is_what_was_sent),
                                       cmocka_unit_test(limits),
                                       cmocka_unit_test(a_problem_stays),
                                       cmocka_unit_test(too_much)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
