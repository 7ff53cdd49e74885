#include "mail/dsn.h"

#include "base/printable.h"
#include <errno.h>
#include <stdio.h>

static const struct {
    const char *word;
    uint8_t flag;
} notify_words[] = {
    {"NEVER", ENVELOPE_NOTIFY_NEVER},
    {"SUCCESS", ENVELOPE_NOTIFY_SUCCESS},
    {"FAILURE", ENVELOPE_NOTIFY_FAILURE},
    {"DELAY", ENVELOPE_NOTIFY_DELAY},
};

static uint8_t notify_flag(struct span word)
{
    for (size_t i = 0; i < ARRAY_SIZE(notify_words); i++)
        if (span_equal_nocase(word, span_from_cstr(notify_words[i].word)))
            return notify_words[i].flag;
    return 0;
}

/* Words may be repeated, which says nothing new; NEVER stands alone (RFC 3461 4.1). */
int dsn_parse_notify(struct span value, uint8_t *out_notify)
{
    uint8_t all = 0;
    ptrdiff_t comma;

    do {
        comma = span_find(value, ',');
        uint8_t flag = notify_flag(comma < 0 ? value : span_first(value, (size_t)comma));
        if (!flag)
            return -EINVAL;
        all |= flag;
        value = span_from(value, (size_t)(comma + 1));
    } while (comma >= 0);
    if (all & ENVELOPE_NOTIFY_NEVER && all != ENVELOPE_NOTIFY_NEVER)
        return -EINVAL;
    *out_notify = all;
    return 0;
}

/* RFC 3461 section 4.3. */
int dsn_parse_return(struct span value, uint8_t *out_return)
{
    if (span_equal_nocase(value, SPAN("FULL")))
        *out_return = ENVELOPE_RETURN_FULL;
    else if (span_equal_nocase(value, SPAN("HDRS")))
        *out_return = ENVELOPE_RETURN_HEADER;
    else
        return -EINVAL;
    return 0;
}

void dsn_format_notify(uint8_t notify, char out[static DSN_NOTIFY_TEXT])
{
    size_t size = 0;

    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(notify_words); i++)
        if (notify & notify_words[i].flag)
            size += (size_t)snprintf(out + size, DSN_NOTIFY_TEXT - size, "%s%s", size ? "," : "",
                                     notify_words[i].word);
}

/* ---- xtext ---- */

/* Upper case only: RFC 3461 section 4. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_printable(int c)
{
    return c >= ' ' && c <= '~';
}

/* Bytes of xtext at the front that stand for one printable character, which is in *out_char. */
static size_t take_char(struct span xtext, char *out_char)
{
    char c = xtext.data[0];

    if (c != '+') {
        *out_char = c;
        return c > ' ' && c <= '~' && c != '=';
    }
    if (xtext.size < 3 || digit(xtext.data[1]) < 0 || digit(xtext.data[2]) < 0)
        return 0;
    int value = 16 * digit(xtext.data[1]) + digit(xtext.data[2]);
    *out_char = (char)value;
    return is_printable(value) ? 3 : 0;
}

static bool is_xtext(struct span xtext)
{
    size_t size = 1;
    char c;

    while (xtext.size && (size = take_char(xtext, &c)))
        xtext = span_from(xtext, size);
    return size > 0;
}

int dsn_xtext_decode(struct span xtext, struct buffer *out)
{
    size_t size;
    char c;

    for (; xtext.size; xtext = span_from(xtext, size)) {
        size = take_char(xtext, &c);
        if (!size)
            return -EINVAL;
        buffer_append_byte(out, c);
    }
    return buffer_error(out);
}

int dsn_xtext_encode(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool plain = c > ' ' && c <= '~' && c != '+' && c != '=';
        buffer_append_byte(out, plain ? c : '+');
        if (!plain)
            buffer_append_hex(out, (unsigned char)c, 'A');
    }
    return buffer_error(out);
}

bool dsn_is_envelope_id(struct span value)
{
    return value.size && value.size <= ENVELOPE_ENVID_MAX && is_xtext(value);
}

/* ---- ORCPT ---- */

/* RFC 3461 section 4.2 has an atom there; the types that are registered need no more than this. */
static bool is_type_byte(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* The type in front of the semicolon; false when there is none. */
static bool split(struct span value, struct span *out_type, struct span *out_rest)
{
    ptrdiff_t at = span_find(value, ';');

    if (at <= 0)
        return false;
    *out_type = span_first(value, (size_t)at);
    *out_rest = span_from(value, (size_t)at + 1);
    for (size_t i = 0; i < out_type->size; i++)
        if (!is_type_byte(out_type->data[i]))
            return false;
    return true;
}

static bool is_utf8_type(struct span type)
{
    return span_equal_nocase(type, SPAN("utf-8"));
}

/* What an escape may stand for: a character beyond ASCII, or one of those that can't be written as
 * they are. RFC 6533 section 3 (HEXPOINT) has some controls, too; nobody's address has one. */
static bool is_escapable(uint32_t point)
{
    if (point < 0xa0)
        return point == ' ' || point == '+' || point == '=' || point == '\\';
    return point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

/* Either case: HEXPOINT is made of literals of ABNF, which have no case (RFC 5234 2.3). */
static int escape_digit(char c)
{
    return digit(c >= 'a' && c <= 'f' ? (char)(c - 'a' + 'A') : c);
}

/* The size of the "\x{HEX}" at the start of `rest`, with two to six digits and no zero too many; 0:
 * none. */
static size_t escape_size(struct span rest)
{
    enum { DIGITS_AT = 3, DIGITS_MAX = 6 };
    uint32_t point = 0;
    size_t at = DIGITS_AT;

    if (!span_equal(span_first(rest, DIGITS_AT), SPAN("\\x{")))
        return 0;
    while (at < rest.size && at < DIGITS_AT + DIGITS_MAX && escape_digit(rest.data[at]) >= 0)
        point = 16 * point + (uint32_t)escape_digit(rest.data[at++]);
    if (at == rest.size || rest.data[at] != '}' || rest.data[DIGITS_AT] == '0')
        return 0;
    return is_escapable(point) ? at + 1 : 0;
}

/* RFC 6533 section 3: what isn't ASCII stands there as it is, or as \x{HEX}. A backslash begins
 * nothing else (QCHAR): what we let through here is said to the next station word for word, which
 * may refuse the recipient for it. */
static bool is_utf8_address(struct span rest, bool utf8)
{
    while (rest.size) {
        char c = rest.data[0];
        size_t size = c == '\\' ? escape_size(rest) : printable_char_size(rest);
        bool plain = is_printable(c) && c != ' ' && c != '+' && c != '=';
        if (size == 0 || (size == 1 && !plain) || (!is_printable(c) && !utf8))
            return false;
        rest = span_from(rest, size);
    }
    return true;
}

/* The size is ours: RFC 3461 section 4.2 allows 500. */
bool dsn_is_original(struct span value, bool utf8)
{
    struct span type, rest;

    if (value.size > ENVELOPE_ORCPT_MAX || !split(value, &type, &rest) || !rest.size)
        return false;
    return is_utf8_type(type) ? is_utf8_address(rest, utf8) : is_xtext(rest);
}

/* The code point of a character that printable_char_size() has measured. */
static unsigned code_point(struct span c)
{
    unsigned value = (unsigned char)c.data[0] & (0x7fu >> c.size);

    for (size_t i = 1; i < c.size; i++)
        value = value << 6 | ((unsigned char)c.data[i] & 0x3f);
    return value;
}

int dsn_original_ascii(struct span value, struct buffer *out)
{
    size_t size;

    for (; value.size; value = span_from(value, size)) {
        size = printable_char_size(value);
        if (size == 0)
            return -EINVAL;
        if (size == 1)
            buffer_append_byte(out, value.data[0]);
        else
            buffer_printf(out, "\\x{%X}", code_point(span_first(value, size)));
    }
    return buffer_error(out);
}

int dsn_original_decode(struct span value, struct buffer *out)
{
    struct span type, rest;

    if (!split(value, &type, &rest))
        return -EINVAL;
    buffer_append_span(out, type);
    buffer_append_byte(out, ';');
    return is_utf8_type(type) ? buffer_append_span(out, rest) : dsn_xtext_decode(rest, out);
}

/* ---- wishes ---- */

uint8_t dsn_notify_after_fan_out(uint8_t notify)
{
    /* Who asked for success only has nothing left: then he wants nothing, which is not the same
     * as having said nothing. */
    uint8_t rest = notify & (uint8_t)~ENVELOPE_NOTIFY_SUCCESS;
    return notify && !rest ? ENVELOPE_NOTIFY_NEVER : rest;
}

bool dsn_wants(uint8_t notify, enum envelope_notify fate)
{
    return notify ? notify & fate : fate != ENVELOPE_NOTIFY_SUCCESS;
}
