/*
 * Mail addresses and SMTP paths: the one parser of Postbuch. What it refuses is refused everywhere;
 * what it accepts it writes again in canonical form, so that equal addresses are equal bytes and
 * every decision (is it ours? may it be relayed?) is taken on what was parsed, never on the text.
 *
 * Canonical form: local@domain.
 *   local   as given, but quoted (RFC 5321 4.1.2 Quoted-string) only where it must be, and then
 * with no escape that isn't needed. Case is kept: only the owner of a mailbox may ignore it.
 *           "%", "!" and a route inside quotes are plain text.
 *   domain  lower case; IDNA2008 A-labels ("xn--…"), whichever form was given; literals are
 *           "[192.0.2.1]" and "[IPv6:2001:db8::1]" in the shortest spelling.
 * The domain is always ASCII and never holds '@', so the last '@' of the canonical form divides it.
 */
#pragma once

#include "base/span.h"

enum {
    ADDRESS_LOCAL_MAX = 250,  /* RFC 5321 asks for 64; VERP and SRS make longer ones */
    ADDRESS_DOMAIN_MAX = 255, /* RFC 5321 4.5.3.1.2 */
    ADDRESS_TEXT_MAX = ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX,
};

/* Why a text is no address; what a client is told of it is address_result_text(). */
enum address_result {
    ADDRESS_OK,
    ADDRESS_BAD_SYNTAX,
    ADDRESS_NO_DOMAIN,
    ADDRESS_BAD_DOMAIN,
    ADDRESS_TOO_LONG,
    ADDRESS_BAD_UTF8,   /* not UTF-8, or control characters in it */
    ADDRESS_NEEDS_UTF8, /* UTF-8 where ADDRESS_ALLOW_UTF8 wasn't given */
};

enum address_flags {
    ADDRESS_ALLOW_UTF8 = 1,      /* RFC 6531 */
    ADDRESS_ALLOW_NULL = 2,      /* paths: "<>" */
    ADDRESS_ALLOW_NO_DOMAIN = 4, /* "alice" alone */
    ADDRESS_ALLOW_POSTMASTER = 8 /* "postmaster" alone, in any case (RFC 5321 4.1.1.3) */
};

/* Holds its own bytes, so it may be copied and kept; some 770 bytes, so
 * lists keep address_text(). */
struct address {
    uint16_t size;       /* of text; 0: the null path */
    uint16_t local_size; /* of the written local part, the start of text */
    uint16_t raw_size;
    bool literal;                    /* the domain is an address literal */
    bool utf8;                       /* the local part isn't ASCII */
    char text[ADDRESS_TEXT_MAX + 1]; /* canonical, with a NUL behind */
    char raw[ADDRESS_LOCAL_MAX + 1]; /* the local part without quoting */
};

/* Reads `text`, which must be one whole address without angle brackets. *out is undefined unless
 * ADDRESS_OK. */
enum address_result address_parse(struct span text, unsigned flags, struct address *out);

/* Reads a path "<…>" from the start of `text`; a source route in it is checked and dropped (RFC
 * 5321 4.1.1.3, appendix C). *out_consumed: how many bytes the path took. */
enum address_result address_parse_path(struct span text, unsigned flags, struct address *out,
                                       size_t *out_consumed);

/* Reads a whole domain name or address literal and writes its canonical form into `out`, with a
 * NUL; *out_size without it. Underscores are let through, names of digits only aren't. */
enum address_result address_parse_domain(struct span text, unsigned flags,
                                         char out[static ADDRESS_DOMAIN_MAX + 1], size_t *out_size);

/* One sentence part for a reply: "its domain is not valid". */
const char *address_result_text(enum address_result result);

static inline struct span address_text(const struct address *a)
{
    return span_of(a->text, a->size);
}

/* Empty when there was none. */
static inline struct span address_domain(const struct address *a)
{
    return a->size > a->local_size ? span_from(address_text(a), a->local_size + 1u)
                                   : span_of("", 0);
}

/* The local part as its owner means it: without quotes and escapes. */
static inline struct span address_raw_local(const struct address *a)
{
    return span_of(a->raw, a->raw_size);
}

/* Divides canonical text; a text without '@' is all local. */
static inline void address_split(struct span canonical, struct span *out_local,
                                 struct span *out_domain)
{
    ptrdiff_t at = span_find_last(canonical, '@');

    *out_local = at < 0 ? canonical : span_first(canonical, (size_t)at);
    *out_domain = at < 0 ? span_of("", 0) : span_from(canonical, (size_t)at + 1);
}

/* What stands behind the last '@'; all of it when there is none. */
static inline struct span address_domain_of(struct span canonical)
{
    return span_from(canonical, (size_t)(span_find_last(canonical, '@') + 1));
}
