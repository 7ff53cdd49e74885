/*
 * The domain half of mail/address.h: names by the letter, digit, hyphen rule (RFC 5321 4.1.2
 * sub-domain, RFC 1035 2.3.1) with underscores, other alphabets by IDNA2008, and address literals
 * by parsing and printing them. All three write ASCII.
 */
#include "mail/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdio.h>

/* RFC 1035 2.3.4. */
enum { LABEL_MAX = 63 };

/* Underscores aren't legal in host names but live in the wild, and harm nobody. */
static bool is_label_byte(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_label(struct span label)
{
    if (label.size == 0 || label.size > LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.size; i++)
        if (!is_label_byte(label.data[i]))
            return false;
    return label.data[0] != '-' && label.data[label.size - 1] != '-';
}

/* "1.2.3.4" without brackets is nobody's domain; some resolvers take it for an address. */
static bool is_all_digits(struct span label)
{
    for (size_t i = 0; i < label.size; i++)
        if (label.data[i] < '0' || label.data[i] > '9')
            return false;
    return true;
}

static enum address_result write_ascii(struct span text, char *out, size_t *out_size)
{
    struct span rest = text, label = text;

    if (text.size > ADDRESS_DOMAIN_MAX)
        return ADDRESS_TOO_LONG;
    for (;;) {
        ptrdiff_t dot = span_find(rest, '.');
        label = dot < 0 ? rest : span_first(rest, (size_t)dot);
        if (!is_label(label))
            return ADDRESS_BAD_DOMAIN;
        if (dot < 0)
            break;
        rest = span_from(rest, (size_t)dot + 1);
    }
    if (is_all_digits(label))
        return ADDRESS_BAD_DOMAIN;
    for (size_t i = 0; i < text.size; i++)
        out[i] = ascii_lower(text.data[i]);
    out[text.size] = '\0';
    *out_size = text.size;
    return ADDRESS_OK;
}

/* U-labels become A-labels (RFC 5891, with the mapping of UTS 46). What comes out is checked like
 * any other name, since the mapping can make dots and other ASCII out of wide characters. */
static enum address_result write_idn(struct span text, char *out, size_t *out_size)
{
    char copy[4 * ADDRESS_DOMAIN_MAX + 1];
    char *ascii = NULL;
    enum address_result result;

    if (text.size >= sizeof(copy))
        return ADDRESS_TOO_LONG;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    int r = idn2_to_ascii_8z(copy, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (r == IDN2_TOO_BIG_DOMAIN || r == IDN2_TOO_BIG_LABEL)
        return ADDRESS_TOO_LONG;
    if (r != IDN2_OK)
        return ADDRESS_BAD_DOMAIN;
    result = write_ascii(span_from_cstr(ascii), out, out_size);
    idn2_free(ascii);
    return result;
}

/* RFC 5321 4.1.3. Tags other than IPv6 are not defined by anyone. */
static enum address_result write_literal(struct span text, char *out, size_t *out_size)
{
    const struct span tag = SPAN("[IPv6:");
    char copy[INET6_ADDRSTRLEN] = "", shown[INET6_ADDRSTRLEN] = "";
    unsigned char binary[sizeof(struct in6_addr)];
    bool v6 = span_starts_nocase(text, tag);
    struct span inner = span_from(text, v6 ? tag.size : 1);

    if (inner.size < 2 || inner.size > sizeof(copy) || inner.data[inner.size - 1] != ']')
        return ADDRESS_BAD_DOMAIN;
    inner.size--;
    if (memchr(inner.data, '\0', inner.size))
        return ADDRESS_BAD_DOMAIN;
    memcpy(copy, inner.data, inner.size);
    int family = v6 ? AF_INET6 : AF_INET;
    if (inet_pton(family, copy, binary) != 1 || !inet_ntop(family, binary, shown, sizeof(shown)))
        return ADDRESS_BAD_DOMAIN;
    *out_size = (size_t)snprintf(out, ADDRESS_DOMAIN_MAX + 1, "[%s%s]", v6 ? "IPv6:" : "", shown);
    return ADDRESS_OK;
}

enum address_result address_parse_domain(struct span text, unsigned flags,
                                         char out[static ADDRESS_DOMAIN_MAX + 1], size_t *out_size)
{
    if (text.size == 0)
        return ADDRESS_NO_DOMAIN;
    if (text.data[0] == '[')
        return write_literal(text, out, out_size);
    if (span_is_ascii(text))
        return write_ascii(text, out, out_size);
    if (memchr(text.data, '\0', text.size))
        return ADDRESS_BAD_DOMAIN;
    if (!(flags & ADDRESS_ALLOW_UTF8))
        return ADDRESS_NEEDS_UTF8;
    return write_idn(text, out, out_size);
}
