/*
 * One line at a time, so that an editor of the file (users_edit.c) reads it exactly as the server
 * does.
 */
#include "people/users.h"

#include "people/lines.h"
#include <errno.h>

bool users_next_item(struct span *rest, struct span *out_item)
{
    if (rest->size == 0)
        return false;
    ptrdiff_t comma = span_find(*rest, ',');
    struct span item = comma < 0 ? *rest : span_first(*rest, (size_t)comma);
    *rest = span_from(*rest, item.size + 1);
    *out_item = span_trim(item);
    return true;
}

/* crypt(5): printable ASCII without blank, colon, semicolon, star, bang and backslash, behind
 * "$scheme$" or "{SCHEME}". Only the form is looked at, not whether the scheme is known. */
static bool is_verifier(struct span v)
{
    if (span_equal(v, SPAN("*")))
        return true;
    if (v.size < 3 || (v.data[0] != '$' && v.data[0] != '{'))
        return false;
    for (size_t i = 0; i < v.size; i++)
        if (v.data[i] <= ' ' || v.data[i] > '~' || strchr(":;*!\\", v.data[i]))
            return false;
    ptrdiff_t end = span_find(v, v.data[0] == '{' ? '}' : '$');
    if (v.data[0] == '$')
        end = span_find(span_from(v, 1), '$');
    return end > 0;
}

static bool verifiers_are_good(struct span list)
{
    struct span item;

    if (list.size == 0)
        return false;
    while (users_next_item(&list, &item))
        if (!is_verifier(item))
            return false;
    return true;
}

static bool senders_are_good(struct span list)
{
    struct address address;
    struct span item;

    while (users_next_item(&list, &item))
        if (item.size && address_parse(item, ADDRESS_ALLOW_UTF8, &address) != ADDRESS_OK)
            return false;
    return true;
}

static int fail(const char *why, const char **out_why, size_t at, size_t *out_at)
{
    *out_why = why;
    *out_at = at;
    return -EINVAL;
}

int users_line_parse(struct span line, struct users_line *out, const char **out_why, size_t *out_at)
{
    ptrdiff_t first = span_find(line, ':');
    size_t second;

    if (line_is_idle(line))
        return 1;
    if (memchr(line.data, '\0', line.size))
        return fail("the line holds a NUL byte; write it again", out_why, 0, out_at);
    if (first < 0)
        return fail("no colon; write address:verifier:senders, with * as the verifier for no login",
                    out_why, 0, out_at);
    struct span rest = span_from(line, (size_t)first + 1);
    ptrdiff_t colon = span_find(rest, ':');
    second = (size_t)first + 1 + (colon < 0 ? rest.size : (size_t)colon);
    if (address_parse(span_trim(span_first(line, (size_t)first)), ADDRESS_ALLOW_UTF8,
                      &out->address) != ADDRESS_OK)
        return fail("the line must start with a whole address like anna@example.org", out_why, 0,
                    out_at);
    if (out->address.literal)
        return fail("an address with an IP address for its domain can't be a user; name a domain",
                    out_why, 0, out_at);
    out->verifiers = span_trim(span_first(rest, colon < 0 ? rest.size : (size_t)colon));
    if (!verifiers_are_good(out->verifiers))
        return fail(
            "behind the first colon belong a crypt(5) hash, {SCHEME}..., or * for no login; "
            "`postbuch user password` makes one",
            out_why, (size_t)first + 1, out_at);
    out->senders = span_trim(span_from(line, second + 1));
    if (!senders_are_good(out->senders))
        return fail("behind the second colon belong whole addresses, separated by commas", out_why,
                    second + 1, out_at);
    return 0;
}
