/* Content-Type and its like as they come: what RFC 2045 5.1 allows, and what is none of it. */
#include "../unit.h"

#include "mail/content.h"

#include <stdlib.h>

/* In memory of its own size, so that a look beyond the field's end is noticed. */
static void take(struct content *content, const char *field)
{
    size_t size = strlen(field);
    char *copy = malloc(size + 1);

    memcpy(copy, field, size);
    content_take_field(content, span_of(copy, size));
    free(copy);
}

static void types(void **state)
{
    static const struct {
        const char *field;
        enum content_kind kind;
    } cases[] = {
        {"Content-Type: text/plain\r\n", CONTENT_TEXT},
        {"CONTENT-TYPE:TEXT/HTML;charset=x", CONTENT_TEXT},
        {"Content-Type : text/plain\r\n", CONTENT_TEXT},
        {"Content-Type:\r\n\ttext/x\r\n", CONTENT_TEXT},
        {"Content-Type: textual/plain\r\n", CONTENT_OTHER},
        {"Content-Type: text\r\n", CONTENT_OTHER},
        {"Content-Type:\r\n", CONTENT_OTHER},
        {"Content-Type: image/png\r\n", CONTENT_OTHER},
        {"Content-Type: multipart/mixed\r\n", CONTENT_MULTIPART},
        {"Content-Type: Multipart/X-new; boundary=b\r\n", CONTENT_MULTIPART},
        {"Content-Type: multipart/digest; boundary=b\r\n", CONTENT_DIGEST},
        {"Content-Type: multipart/digestive; boundary=b\r\n", CONTENT_MULTIPART},
        {"Content-Type: message/rfc822\r\n", CONTENT_MESSAGE},
        {"Content-Type: message/rfc822;x=y\r\n", CONTENT_MESSAGE},
        {"Content-Type: message/global\r\n", CONTENT_MESSAGE},
        {"Content-Type: message/rfc822-headers\r\n", CONTENT_OTHER_MESSAGE},
        {"Content-Type: message/delivery-status\r\n", CONTENT_OTHER_MESSAGE},
        {"Content-Type: message/partial; id=1\r\n", CONTENT_OTHER_MESSAGE},
        {"X-Content-Type: message/rfc822\r\n", CONTENT_TEXT},
        {"Content-Type message/rfc822\r\n", CONTENT_TEXT},
        {"", CONTENT_TEXT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct content content = {0};
        take(&content, cases[i].field);
        if (content.kind != cases[i].kind)
            print_error("%s", cases[i].field);
        assert_int_equal(content.kind, cases[i].kind);
    }
}

static void boundaries(void **state)
{
    static const struct {
        const char *rest, *boundary; /* "" : none that can be read */
    } cases[] = {
        {"; boundary=abc", "abc"},
        {";boundary=abc;charset=x", "abc"},
        {"; BOUNDARY = abc", "abc"},
        {" ;\r\n\tboundary\r\n =\r\n \"a b\"\r\n", "a b"},
        {"; boundary=a/b'c+d_e.f-g", "a/b'c+d_e.f-g"},
        {"; boundary=\"a=b?c:d(e),f/g\"", "a=b?c:d(e),f/g"},
        {"; boundary=\"a\\\"b\\\\c\"", "a\"b\\c"},
        {"; boundary=\"\"; boundary=b", "b"},
        {"; boundary=a; boundary=b", "a"},
        {"; boundary=a b", "a"},
        {"; boundary=", ""},
        {"; boundary", ""},
        {"; boundary;boundary=x", "x"},
        {"; boundary=;boundary=x", "x"},
        {"; boundary=\"open", "open"},
        {"; boundary=\"open\\", "open\\"},
        {"; boundary=\"", ""},
        {"; xboundary=a", ""},
        {"; boundaryx=a", ""},
        {"; boundary*=a", ""},
        {";", ""},
        {";;; ; boundary=a", "a"},
        {"; charset=\"x; boundary=wrong\"; boundary=right", "right"},
        {"; charset=\"x\\\"; boundary=wrong\"; boundary=right", "right"},
        {"; charset=x boundary=no; boundary=yes", "yes"},
        {"; =; boundary=a", "a"},
        {"; boundary=\xc3\xa4", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct content content = {0};
        char field[200] = "Content-Type: multipart/mixed";
        strcat(field, cases[i].rest);
        take(&content, field);
        if (!span_equal(span_of(content.boundary, content.boundary_size),
                        span_from_cstr(cases[i].boundary)))
            print_error("%s\n", field);
        assert_span(span_of(content.boundary, content.boundary_size), cases[i].boundary);
        assert_int_equal(content_is_multipart(&content), *cases[i].boundary != '\0');
    }
}

/* RFC 2046 5.1.1: a longer one is none, rather than half of one. */
static void the_longest_boundary(void **state)
{
    for (int quoted = 0; quoted < 2; quoted++)
        for (size_t size = CONTENT_BOUNDARY_MAX - 1; size < CONTENT_BOUNDARY_MAX + 3; size++) {
            struct content content = {0};
            char field[200] = "Content-Type: multipart/mixed; boundary=";
            size_t at = strlen(field);
            if (quoted)
                field[at++] = '"';
            memset(field + at, 'b', size);
            if (quoted)
                field[at + size] = '"';
            take(&content, field);
            assert_int_equal(content.boundary_size, size <= CONTENT_BOUNDARY_MAX ? size : 0);
        }
}

static void encodings(void **state)
{
    static const struct {
        const char *value;
        enum content_encoding encoding;
        bool encoded;
    } cases[] = {
        {"7bit", CONTENT_7BIT, false},
        {" 8BIT ", CONTENT_8BIT, false},
        {"Binary", CONTENT_BINARY, false},
        {"quoted-printable (by hand)", CONTENT_QUOTED_PRINTABLE, true},
        {"\r\n\tBase64", CONTENT_BASE64, true},
        {"base64x", CONTENT_UNKNOWN_ENCODING, true},
        {"x-uuencode", CONTENT_UNKNOWN_ENCODING, true},
        {"8", CONTENT_UNKNOWN_ENCODING, true},
        {"", CONTENT_UNKNOWN_ENCODING, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct content content = {0};
        char field[100] = "Content-Transfer-Encoding:";
        strcat(field, cases[i].value);
        assert_int_equal(content.encoding, CONTENT_NOT_TOLD);
        assert_true(content_is_encoding(span_from_cstr(field)));
        take(&content, field);
        assert_int_equal(content.encoding, cases[i].encoding);
        assert_int_equal(content_is_encoded(&content), cases[i].encoded);
    }
    assert_false(content_is_encoding(SPAN("Content-Type: base64\r\n")));
    assert_false(content_is_encoding(SPAN("Content-Transfer-Encoding\r\n")));
}

/* The first field of a kind is the one that readers believe. */
static void the_first_field_counts(void **state)
{
    struct content content = {0};

    assert_false(content.typed || content.mime_version);
    take(&content, "Content-Type: image/x\r\n");
    take(&content, "Content-Type: multipart/mixed; boundary=b\r\n");
    take(&content, "Content-Transfer-Encoding: nonsense\r\n");
    take(&content, "Content-Transfer-Encoding: 8bit\r\n");
    assert_int_equal(content.kind, CONTENT_OTHER);
    assert_int_equal(content.boundary_size, 0);
    assert_int_equal(content.encoding, CONTENT_UNKNOWN_ENCODING);
    assert_true(content.typed);
    assert_false(content.mime_version);
    take(&content, "Mime-Version: 1.0\r\n");
    assert_true(content.mime_version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(boundaries),
        cmocka_unit_test(encodings),
        cmocka_unit_test(the_longest_boundary),
        cmocka_unit_test(the_first_field_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
