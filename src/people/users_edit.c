/*
 * The text is copied line by line; only the lines of the address in question are left out or
 * written anew, so everything that we don't understand stays as somebody wrote it.
 */
#include "people/users_edit.h"

#include "people/lines.h"
#include <errno.h>

/* As the table compares: the local part without regard to case. */
static bool same_address(const struct address *a, const struct address *b)
{
    return span_equal_nocase(address_text(a), address_text(b));
}

static bool is_user(struct span line, struct users_line *out)
{
    const char *why;
    size_t at;

    return users_line_parse(line, out, &why, &at) == 0;
}

void users_each(struct span text, void (*fn)(void *arg, const struct users_line *line), void *arg)
{
    struct lines lines = {.rest = text};
    struct users_line user;
    struct span line;

    while (lines_next(&lines, &line))
        if (is_user(line, &user))
            fn(arg, &user);
}

static void put_line(struct buffer *out, struct span address, struct span verifiers,
                     struct span senders)
{
    buffer_append_span(out, address);
    buffer_append_byte(out, ':');
    buffer_append_span(out, verifiers);
    buffer_append_byte(out, ':');
    buffer_append_span(out, senders);
    buffer_append_byte(out, '\n');
}

/* Copies the text but for the address's lines, which are dropped or, with `verifiers`, written
 * anew. Returns how many there were. */
static size_t copy(struct span text, const struct address *address, const struct span *verifiers,
                   struct buffer *out)
{
    struct lines lines = {.rest = text};
    struct span before = text, line;
    size_t found = 0;

    for (; lines_next(&lines, &line); before = lines.rest) {
        struct users_line user;
        if (!is_user(line, &user) || !same_address(&user.address, address)) {
            buffer_append_span(out, span_first(before, before.size - lines.rest.size));
            continue;
        }
        found++;
        if (verifiers)
            put_line(out, address_text(&user.address), *verifiers, user.senders);
    }
    return found;
}

/* Addresses with a colon or a # at their start can't be written in a users file. */
static bool reads_back(struct span line, const struct address *address)
{
    struct users_line user;

    return is_user(span_first(line, line.size - 1), &user) && same_address(&user.address, address);
}

int users_edit_add(struct span text, const struct address *address, struct span verifiers,
                   struct span senders, struct buffer *out)
{
    size_t start = out->size;

    if (copy(text, address, NULL, out)) {
        out->size = start;
        return -EEXIST;
    }
    if (out->size > start && out->data[out->size - 1] != '\n')
        buffer_append_byte(out, '\n');
    size_t line = out->size;
    put_line(out, address_text(address), verifiers, senders);
    if (buffer_error(out) == 0 && !reads_back(span_from(buffer_span(out), line), address)) {
        out->size = start;
        return -EINVAL;
    }
    return buffer_error(out);
}

int users_edit_remove(struct span text, const struct address *address, struct buffer *out)
{
    size_t found = copy(text, address, NULL, out);

    if (found && out->size == 0) /* an empty file looks like an accident: people/build.c */
        buffer_append_span(out, SPAN("# no users\n"));
    return buffer_error(out) ? buffer_error(out) : found ? 0 : -ENOENT;
}

int users_edit_verifiers(struct span text, const struct address *address, struct span verifiers,
                         struct buffer *out)
{
    size_t found = copy(text, address, &verifiers, out);

    return buffer_error(out) ? buffer_error(out) : found ? 0 : -ENOENT;
}
