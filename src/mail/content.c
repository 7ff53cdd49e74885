/*
 * RFC 2045 5.1 parameters as they come in the wild: blanks and folds anywhere between tokens,
 * quoted or not, in any order; comments aren't understood. What can't be read leaves the field's
 * default, which is the harmless one: a multipart without a boundary has no parts to look into.
 */
#include "mail/content.h"

#include "mail/field.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span skip_space(struct span s)
{
    size_t at = 0;

    while (at < s.size && is_space(s.data[at]))
        at++;
    return span_from(s, at);
}

/* RFC 2045 5.1: printable ASCII without the blank and tspecials, but "/" (see take_token). */
static bool is_token_byte(char c)
{
    return c > ' ' && c < 127 && !memchr("()<>@,;:\\\"[]?=", c, 14);
}

/* Takes a token, "/" included, off the front. */
static struct span take_token(struct span *rest)
{
    size_t size = 0;

    *rest = skip_space(*rest);
    while (size < rest->size && is_token_byte(rest->data[size]))
        size++;
    struct span token = span_first(*rest, size);
    *rest = span_from(*rest, size);
    return token;
}

static bool is_field(struct span field, const char *name, struct span *out_value)
{
    struct field f;

    if (!field_next(&field, &f) || !field_is(&f, name))
        return false;
    *out_value = f.value;
    return true;
}

static enum content_kind kind_of(struct span type)
{
    if (span_equal_nocase(type, SPAN("multipart/digest")))
        return CONTENT_DIGEST;
    if (span_starts_nocase(type, SPAN("multipart/")))
        return CONTENT_MULTIPART;
    if (span_equal_nocase(type, SPAN("message/rfc822")) ||
        span_equal_nocase(type, SPAN("message/global")))
        return CONTENT_MESSAGE;
    if (span_starts_nocase(type, SPAN("message/")))
        return CONTENT_OTHER_MESSAGE;
    return span_starts_nocase(type, SPAN("text/")) ? CONTENT_TEXT : CONTENT_OTHER;
}

/* A quoted string or a token; the size of what would not fit is 0. */
static uint8_t take_value(struct span *rest, char out[static CONTENT_BOUNDARY_MAX])
{
    size_t size = 0, at = 1;

    *rest = skip_space(*rest);
    if (rest->size == 0 || *rest->data != '"') {
        struct span token = take_token(rest);
        if (token.size == 0 || token.size > CONTENT_BOUNDARY_MAX)
            return 0;
        memcpy(out, token.data, token.size);
        return (uint8_t)token.size;
    }
    for (; at < rest->size && rest->data[at] != '"'; at++) {
        if (rest->data[at] == '\\' && at + 1 < rest->size)
            at++;
        if (size < CONTENT_BOUNDARY_MAX)
            out[size] = rest->data[at];
        size++;
    }
    *rest = span_from(*rest, at + 1);
    return size <= CONTENT_BOUNDARY_MAX ? (uint8_t)size : 0;
}

static void take_parameters(struct content *content, struct span rest)
{
    char ignored[CONTENT_BOUNDARY_MAX];

    for (ptrdiff_t at; (at = span_find(rest, ';')) >= 0;) {
        rest = span_from(rest, (size_t)at + 1);
        struct span name = take_token(&rest);
        rest = skip_space(rest);
        if (rest.size == 0 || *rest.data != '=')
            continue;
        rest = span_from(rest, 1);
        if (span_equal_nocase(name, SPAN("boundary")) && content->boundary_size == 0)
            content->boundary_size = take_value(&rest, content->boundary);
        else
            take_value(&rest, ignored);
    }
}

static void take_type(struct content *content, struct span value)
{
    size_t slash;

    if (content->typed)
        return;
    content->typed = true;
    value = skip_space(value);
    for (slash = 0; slash < value.size && (is_token_byte(value.data[slash])); slash++)
        ;
    content->kind = kind_of(span_first(value, slash));
    take_parameters(content, span_from(value, slash));
}

static void take_encoding(struct content *content, struct span value)
{
    static const struct {
        const char *word;
        enum content_encoding encoding;
    } words[] = {{"7bit", CONTENT_7BIT},
                 {"8bit", CONTENT_8BIT},
                 {"binary", CONTENT_BINARY},
                 {"quoted-printable", CONTENT_QUOTED_PRINTABLE},
                 {"base64", CONTENT_BASE64}};
    struct span word = take_token(&value);

    if (content->encoding != CONTENT_NOT_TOLD)
        return;
    content->encoding = CONTENT_UNKNOWN_ENCODING;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (span_equal_nocase(word, span_from_cstr(words[i].word)))
            content->encoding = words[i].encoding;
}

void content_take_field(struct content *content, struct span field)
{
    struct span value;

    if (is_field(field, "Content-Type", &value))
        take_type(content, value);
    else if (is_field(field, "Content-Transfer-Encoding", &value))
        take_encoding(content, value);
    else if (is_field(field, "MIME-Version", &value))
        content->mime_version = true;
}

bool content_is_encoding(struct span field)
{
    struct span value;
    return is_field(field, "Content-Transfer-Encoding", &value);
}
