/*
 * Three steps: the local part is read without its quoting (`raw`), written again in canonical form
 * (`text`), and the domain is appended by mail/domain.c. What was read never reaches the output but
 * through the second step: so two spellings of one address can't differ.
 *
 * RFC 5321 4.1.2 is taken strictly, with two liberties: a local part may be longer than 64 bytes,
 * and a source route is accepted and dropped. No blank and no comment is legal in a path (those
 * belong to RFC 5322, see mail/address_list.h).
 */
#include "mail/address.h"

#include <unistr.h>

/* RFC 5322 3.2.3 atext, and what RFC 6531 3.3 adds to it: any character beyond ASCII. Whether
 * those are valid UTF-8 is looked at once for the whole part (is_clean_utf8). */
static bool is_atom_byte(char c)
{
    if ((unsigned char)c > 127)
        return true;
    char lower = ascii_lower(c);
    if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c);
}

/* RFC 5321 4.1.2 qtextSMTP and the second byte of quoted-pairSMTP are both within these:
 * printable ASCII with the blank, so no control byte gets in by quoting it. */
static bool is_quotable(char c)
{
    return (unsigned char)c >= ' ' && c != 127;
}

static bool has_utf8(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] > 127)
            return true;
    return false;
}

/* Valid UTF-8 without the control characters U+0080 to U+009F, which terminals obey. */
static bool is_clean_utf8(struct span s)
{
    if (u8_check((const uint8_t *)s.data, s.size))
        return false;
    for (size_t i = 0; i + 1 < s.size; i++)
        if ((unsigned char)s.data[i] == 0xC2 && (unsigned char)s.data[i + 1] < 0xA0)
            return false;
    return true;
}

/* Atoms with single dots between them, none at an end: what needs no quotes. */
static bool is_dot_string(struct span s)
{
    bool atom = false;

    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '.' && !atom)
            return false;
        if (s.data[i] != '.' && !is_atom_byte(s.data[i]))
            return false;
        atom = s.data[i] != '.';
    }
    return atom;
}

/* Length of the quoted string at the start of `text`, its raw bytes into `out`; 0: not one. An
 * escape says nothing but the byte itself: it is dropped here, and written again only where it must
 * be. */
static size_t read_quoted(struct span text, struct address *out)
{
    for (size_t i = 1; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"')
            return i + 1;
        if (c == '\\' && ++i < text.size)
            c = text.data[i];
        if (!is_quotable(c) || out->raw_size == ADDRESS_LOCAL_MAX)
            return 0;
        out->raw[out->raw_size++] = c;
    }
    return 0;
}

/* Length of the run of atom bytes and dots at the start of `text`. */
static size_t read_dot_string(struct span text, struct address *out)
{
    size_t size = 0;

    while (size < text.size && (text.data[size] == '.' || is_atom_byte(text.data[size])))
        size++;
    if (size == 0 || size > ADDRESS_LOCAL_MAX)
        return size;
    memcpy(out->raw, text.data, size);
    out->raw_size = (uint16_t)size;
    return size;
}

/* The canonical local part from the raw one; false when it gets too long. Quotes only where RFC
 * 5321 section 4.1.2 needs them: "a.b"@x and a.b@x are one mailbox, and must be one text. */
static bool write_local(struct address *out)
{
    struct span raw = address_raw_local(out);
    size_t at = 0;

    if (is_dot_string(raw)) {
        memcpy(out->text, raw.data, raw.size);
        out->local_size = out->size = (uint16_t)raw.size;
        return true;
    }
    out->text[at++] = '"';
    for (size_t i = 0; i < raw.size; i++) {
        bool escaped = raw.data[i] == '"' || raw.data[i] == '\\';
        if (at + escaped + 2 > ADDRESS_LOCAL_MAX) /* with the byte and the closing quote */
            return false;
        if (escaped)
            out->text[at++] = '\\';
        out->text[at++] = raw.data[i];
    }
    out->text[at++] = '"';
    out->local_size = out->size = (uint16_t)at;
    return true;
}

static enum address_result read_local(struct span text, unsigned flags, struct address *out,
                                      size_t *out_size)
{
    bool quoted = text.size && text.data[0] == '"';
    size_t size = quoted ? read_quoted(text, out) : read_dot_string(text, out);

    if (size == 0)
        /* read_quoted() doesn't say why it failed: a text that long is told to be too long. */
        return text.size > ADDRESS_LOCAL_MAX && quoted ? ADDRESS_TOO_LONG : ADDRESS_BAD_SYNTAX;
    if (!quoted && size > ADDRESS_LOCAL_MAX)
        return ADDRESS_TOO_LONG;
    struct span raw = address_raw_local(out);
    if (!quoted && !is_dot_string(raw))
        return ADDRESS_BAD_SYNTAX;
    out->utf8 = has_utf8(raw);
    if (out->utf8 && !is_clean_utf8(raw))
        return ADDRESS_BAD_UTF8;
    if (out->utf8 && !(flags & ADDRESS_ALLOW_UTF8))
        return ADDRESS_NEEDS_UTF8;
    if (!write_local(out))
        return ADDRESS_TOO_LONG;
    *out_size = size;
    return ADDRESS_OK;
}

static enum address_result append_domain(struct span domain, unsigned flags, struct address *out)
{
    size_t size;

    if (has_utf8(domain) && !is_clean_utf8(domain))
        return ADDRESS_BAD_UTF8;
    out->text[out->size] = '@';
    enum address_result r = address_parse_domain(domain, flags, out->text + out->size + 1, &size);
    if (r != ADDRESS_OK)
        return r;
    out->literal = domain.data[0] == '[';
    out->size = (uint16_t)(out->size + 1 + size);
    return ADDRESS_OK;
}

static bool may_lack_domain(const struct address *a, unsigned flags)
{
    if (flags & ADDRESS_ALLOW_NO_DOMAIN)
        return true;
    return (flags & ADDRESS_ALLOW_POSTMASTER) &&
           span_equal_nocase(address_raw_local(a), SPAN("postmaster"));
}

/* How far a domain reaches: to '>' or a blank, whichever comes first, or the end. Up to what can't
 * be in a domain; what is left over is judged by whoever called. */
static size_t domain_extent(struct span text)
{
    size_t size = 0;

    while (size < text.size && !strchr("> \t,:", text.data[size]))
        size++;
    return size;
}

static size_t literal_extent(struct span text)
{
    ptrdiff_t end = span_find(text, ']');
    return end < 0 ? text.size : (size_t)end + 1;
}

static struct span take_domain(struct span text)
{
    bool literal = text.size && text.data[0] == '[';
    return span_first(text, literal ? literal_extent(text) : domain_extent(text));
}

/* Mailbox at the start of `text`, RFC 5321 4.1.2. */
static enum address_result read_mailbox(struct span text, unsigned flags, struct address *out,
                                        size_t *out_consumed)
{
    size_t size;

    *out = (struct address){0};
    enum address_result r = read_local(text, flags, out, &size);
    if (r != ADDRESS_OK)
        return r;
    struct span rest = span_from(text, size);
    if (rest.size && rest.data[0] == '@') {
        struct span domain = take_domain(span_from(rest, 1));
        r = append_domain(domain, flags, out);
        size += 1 + domain.size;
    } else if (!may_lack_domain(out, flags)) {
        r = rest.size == 0 || rest.data[0] == '>' ? ADDRESS_NO_DOMAIN : ADDRESS_BAD_SYNTAX;
    }
    if (r == ADDRESS_OK)
        out->text[out->size] = '\0';
    *out_consumed = size;
    return r;
}

enum address_result address_parse(struct span text, unsigned flags, struct address *out)
{
    size_t consumed;
    enum address_result r = read_mailbox(text, flags, out, &consumed);

    return r == ADDRESS_OK && consumed != text.size ? ADDRESS_BAD_SYNTAX : r;
}

/* A-d-l ":" of RFC 5321 4.1.2: "@one,@two:". *out_size is 0 when there is none. Read to be sure of
 * where it ends, and dropped: RFC 5321 appendix C has servers ignore it, and following it would
 * make us a relay. */
static enum address_result skip_route(struct span text, unsigned flags, size_t *out_size)
{
    char ignored[ADDRESS_DOMAIN_MAX + 1];
    size_t at = 0, size;

    while (at < text.size && text.data[at] == '@') {
        struct span domain = take_domain(span_from(text, at + 1));
        enum address_result r = address_parse_domain(domain, flags, ignored, &size);
        if (r != ADDRESS_OK)
            return r;
        at += 1 + domain.size;
        if (at == text.size || (text.data[at] != ',' && text.data[at] != ':'))
            return ADDRESS_BAD_SYNTAX;
        if (text.data[at++] == ':')
            break;
        if (at == text.size || text.data[at] != '@')
            return ADDRESS_BAD_SYNTAX;
    }
    *out_size = at;
    return ADDRESS_OK;
}

enum address_result address_parse_path(struct span text, unsigned flags, struct address *out,
                                       size_t *out_consumed)
{
    size_t route, size;

    if (text.size < 2 || text.data[0] != '<')
        return ADDRESS_BAD_SYNTAX;
    struct span rest = span_from(text, 1);
    if (rest.data[0] == '>' && (flags & ADDRESS_ALLOW_NULL)) {
        *out = (struct address){0};
        *out_consumed = 2;
        return ADDRESS_OK;
    }
    enum address_result r = skip_route(rest, flags, &route);
    if (r != ADDRESS_OK)
        return r;
    rest = span_from(rest, route);
    r = read_mailbox(rest, flags, out, &size);
    if (r != ADDRESS_OK)
        return r;
    if (size >= rest.size || rest.data[size] != '>')
        return ADDRESS_BAD_SYNTAX;
    *out_consumed = 1 + route + size + 1;
    return ADDRESS_OK;
}

const char *address_result_text(enum address_result result)
{
    switch (result) {
    case ADDRESS_OK:
        return "it is valid";
    case ADDRESS_BAD_SYNTAX:
        return "it is not written as <local@domain>";
    case ADDRESS_NO_DOMAIN:
        return "it has no domain";
    case ADDRESS_BAD_DOMAIN:
        return "its domain is not valid";
    case ADDRESS_TOO_LONG:
        return "it is too long";
    case ADDRESS_BAD_UTF8:
        return "it is not valid UTF-8";
    case ADDRESS_NEEDS_UTF8:
        return "it is not ASCII, which needs the parameter SMTPUTF8";
    }
    return "";
}
