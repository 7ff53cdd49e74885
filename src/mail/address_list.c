/*
 * States while one address is read:
 *
 *   PLAIN --"<"--> ANGLE --">"--> CLOSED --","--> done
 *     |                                    PLAIN --","--> done
 *     '--":" (a group's name ends)--> PLAIN, emptied
 *
 * Quoted strings, comments and domain literals are taken as wholes in any state.
 */
#include "mail/address_list.h"

#include <errno.h>

enum state { STATE_PLAIN, STATE_ANGLE, STATE_CLOSED };

struct reader {
    struct span rest;
    struct buffer *out;
    enum state state;
    bool gap;    /* a blank or comment since the last byte kept */
    bool phrase; /* words divided by blanks: a display name, no address */
    bool bad;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The size of what opens with rest[0] and ends with `close`, backslashes minded; comments nest. */
static size_t enclosed_size(struct span rest, char open, char close, bool *out_bad)
{
    size_t depth = 0;

    for (size_t i = 0; i < rest.size; i++) {
        if (rest.data[i] == '\\')
            i++;
        else if (rest.data[i] == close && (i > 0 || open != close) && --depth == 0)
            return i + 1;
        else if (rest.data[i] == open && (i == 0 || open == '('))
            depth++;
    }
    *out_bad = true;
    return rest.size;
}

/* Blanks are no matter around '.' and '@' (RFC 5322 4.4), but divide words. */
static void keep(struct reader *r, size_t size)
{
    char next = r->rest.data[0];

    if (r->state != STATE_CLOSED) {
        char last = r->out->size ? r->out->data[r->out->size - 1] : '.';
        if (r->gap && last != '.' && last != '@' && next != '.' && next != '@')
            r->phrase = true;
        if (r->phrase && r->state == STATE_PLAIN && r->gap)
            buffer_append_byte(r->out, ' ');
        buffer_append(r->out, r->rest.data, size);
    } else {
        r->bad = true; /* "<a@b> c" */
    }
    r->gap = false;
    r->rest = span_from(r->rest, size);
}

static void start_over(struct reader *r, enum state state)
{
    buffer_clear(r->out);
    r->state = state;
    r->gap = r->phrase = false;
}

static void on_special(struct reader *r, char c)
{
    switch (c) {
    case '<':
        if (r->state != STATE_PLAIN)
            r->bad = true;
        start_over(r, STATE_ANGLE);
        break;
    case '>':
        if (r->state != STATE_ANGLE)
            r->bad = true;
        r->bad |= r->phrase;
        r->state = STATE_CLOSED;
        break;
    default: /* ':' ends a group's name, or a source route */
        start_over(r, r->state);
        break;
    }
    r->rest = span_from(r->rest, 1);
}

static void take(struct reader *r)
{
    char c = r->rest.data[0];

    if (c == '(') {
        r->rest = span_from(r->rest, enclosed_size(r->rest, '(', ')', &r->bad));
        r->gap = true;
    } else if (is_space(c)) {
        r->rest = span_from(r->rest, 1);
        r->gap = true;
    } else if (c == '"') {
        keep(r, enclosed_size(r->rest, '"', '"', &r->bad));
    } else if (c == '[') {
        keep(r, enclosed_size(r->rest, '[', ']', &r->bad));
    } else if (c == '<' || c == '>' || (c == ':' && r->state != STATE_CLOSED)) {
        on_special(r, c);
    } else {
        keep(r, 1);
    }
}

/* A comma inside <> belongs to a source route. */
static bool at_end(const struct reader *r)
{
    char c = r->rest.data[0];

    return (c == ',' && r->state != STATE_ANGLE) || c == ';';
}

static int read_one(struct reader *r)
{
    start_over(r, STATE_PLAIN);
    r->bad = false;
    while (r->rest.size && !at_end(r))
        take(r);
    r->rest = span_from(r->rest, 1);
    if (buffer_error(r->out))
        return buffer_error(r->out);
    if (r->bad || r->state == STATE_ANGLE || (r->state == STATE_PLAIN && r->phrase))
        return -EINVAL;
    return r->state == STATE_CLOSED || r->out->size ? 1 : 0;
}

int address_list_next(struct span *rest, struct buffer *out)
{
    struct reader r = {.rest = *rest, .out = out};
    int result = 0;

    /* Empty places between commas are legal (RFC 5322 4.4 obs-addr-list). */
    while (result == 0 && r.rest.size)
        result = read_one(&r);
    *rest = r.rest;
    return result;
}
