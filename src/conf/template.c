/*
 * A template is checked once, at the configuration, and then filled for each recipient: values are
 * written so that none can make a second component, a dot name or the value of its neighbour.
 */
#include "conf/template.h"

#include <errno.h>
#include <stdlib.h>

/* Bytes that a value keeps as they are; all others are written %XX. % isn't among them, so an
 * escaped byte can't be confused with a written one: that makes the expansion one to one. Bytes
 * over 0x7f are, so that mailboxes of addresses in other scripts (RFC 6531) can be read by people.
 */
static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-_+=.", c)) || c > 0x7f;
}

/* Cuts the first component off *rest, passing by empty ones. False at the end. */
static bool next_component(struct span *rest, struct span *out)
{
    while (rest->size > 0 && rest->data[0] == '/')
        *rest = span_from(*rest, 1);
    if (rest->size == 0)
        return false;
    ptrdiff_t slash = span_find(*rest, '/');
    *out = span_first(*rest, slash < 0 ? rest->size : (size_t)slash);
    *rest = span_from(*rest, out->size);
    return true;
}

/* The checks of one component; *out_values counts its %u and %d. */
static const char *check_component(struct span c, int *out_values)
{
    bool separated = true;
    int values = 0;

    if (span_equal(c, SPAN(".")) || span_equal(c, SPAN("..")))
        return "the path may not hold . or ..";
    if (c.size > CONF_TEMPLATE_PART_MAX)
        return "a part of the path is longer than 255 bytes";
    for (size_t i = 0; i < c.size; i++) {
        if (c.data[i] != '%') {
            separated = separated || !is_plain((unsigned char)c.data[i]);
            continue;
        }
        char what = ++i < c.size ? c.data[i] : 0;
        if (what == '%')
            continue; /* a value holds it too, so it separates nothing */
        if (what != 'u' && what != 'd')
            return "after % only u (user), d (domain) or % may follow";
        if (!separated)
            return "two values in one part of the path need a byte like @ between them";
        separated = false;
        values++;
    }
    *out_values = values;
    return NULL;
}

struct split {
    struct span prefix; /* up to the first component with a value */
    struct span rest;
};

/* Without any value the last component is the rest: one mailbox for all. */
static const char *split_template(struct span text, struct split *out)
{
    struct span left = text, component;
    const char *last = NULL;
    bool found = false;

    while (next_component(&left, &component)) {
        int values = 0;
        const char *why = check_component(component, &values);
        if (why)
            return why;
        if (!found)
            last = component.data;
        found = found || values > 0;
    }
    if (!last)
        return "the path names no folder";
    out->prefix = span_first(text, (size_t)(last - text.data));
    out->rest = span_from(text, out->prefix.size);
    return NULL;
}

/* The components of `s`, each behind `lead` slashes or between two of them, as a new string. */
static char *join_components(struct span s, bool absolute)
{
    struct span component;
    size_t used = 0;
    char *text = malloc(s.size + 2);

    if (!text)
        return NULL;
    while (next_component(&s, &component)) {
        if (absolute || used > 0)
            text[used++] = '/';
        memcpy(text + used, component.data, component.size);
        used += component.size;
    }
    if (absolute && used == 0)
        text[used++] = '/';
    text[used] = 0;
    return text;
}

/* "%%" in the prefix, which is never expanded, becomes "%". */
static void unescape_percent(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '%' && from[1] == '%')
            from++;
        *to++ = *from;
    }
    *to = 0;
}

int conf_template_parse(struct span text, struct conf_template *out, const char **out_why)
{
    struct split split;
    const char *why = NULL;

    if (text.size == 0 || text.data[0] != '/')
        why = "the path must begin with /";
    else if (text.size >= CONF_TEMPLATE_PATH_MAX)
        why = "the path is too long";
    else if (memchr(text.data, 0, text.size))
        why = "the path may not hold a NUL";
    else
        why = split_template(text, &split);
    if (why) {
        *out_why = why;
        return -EINVAL;
    }
    struct conf_template t = {join_components(split.prefix, true),
                              join_components(split.rest, false)};
    if (!t.prefix || !t.rest) {
        conf_template_done(&t);
        return -ENOMEM;
    }
    unescape_percent(t.prefix);
    *out = t;
    return 0;
}

void conf_template_done(struct conf_template *t)
{
    free(t->prefix);
    free(t->rest);
    *t = (struct conf_template){0};
}

/* Where an expanded path grows; `component` is where its last component begins. */
struct path {
    char *text;
    size_t size, component;
    int error; /* sticky */
};

/* A component is bounded while it is written, since an escaped byte takes three: an address that
 * RFC 5321 allows may be too long for a name. */
static void put(struct path *p, char c)
{
    if (p->error)
        return;
    if (c == '/')
        p->component = p->size + 1;
    if (p->size + 1 >= CONF_TEMPLATE_PATH_MAX ||
        p->size + 1 > p->component + CONF_TEMPLATE_PART_MAX)
        p->error = -ENAMETOOLONG;
    else
        p->text[p->size++] = c;
}

/* Only A–Z are folded. Other scripts would need tables that change with each Unicode version, and a
 * mailbox must not move with an update. */
static void put_value(struct path *p, struct span value)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (is_plain(c) && (c != '.' || i > 0)) {
            put(p, ascii_lower((char)c));
            continue;
        }
        put(p, '%');
        put(p, digits[c >> 4]);
        put(p, digits[c & 15]);
    }
}

/* At the last @: a quoted local part may hold others (RFC 5321 4.1.2). */
int conf_template_expand(const struct conf_template *t, struct span address,
                         char out[static CONF_TEMPLATE_PATH_MAX])
{
    ptrdiff_t at = span_find_last(address, '@');
    if (at <= 0 || (size_t)at + 1 == address.size)
        return -EINVAL;
    struct span user = span_first(address, (size_t)at);
    struct span domain = span_from(address, (size_t)at + 1);
    char text[CONF_TEMPLATE_PATH_MAX];
    struct path p = {.text = text};

    for (const char *c = t->rest; *c; c++) {
        if (*c != '%') {
            put(&p, *c);
            continue;
        }
        c++;
        if (*c == '%')
            put(&p, '%');
        else
            put_value(&p, *c == 'u' ? user : domain);
    }
    if (p.error)
        return p.error;
    memcpy(out, text, p.size);
    out[p.size] = 0;
    return 0;
}
