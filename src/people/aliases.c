/*
 * A reader over lines, with the place of each piece, since what is wrong is reported where it
 * stands. Addresses go to a sink one by one: a file of any size is never held as a list.
 */
#include "people/aliases.h"

#include "people/lines.h"

struct reader {
    struct conf_problems *problems;
    const struct aliases_sink *sink;
    struct lines lines;
    struct conf_place name_place;
    struct span file, line;
    bool has_name;  /* a line that goes on has an alias to go on with */
    size_t targets; /* of the alias at hand, good or bad */
};

/* Where `part`, a piece of the line at hand, begins. */
static struct conf_place place_of(const struct reader *r, struct span part)
{
    size_t column = part.size ? (size_t)(part.data - r->line.data) : 0;

    return (struct conf_place){r->file, r->lines.number, (uint32_t)column + 1};
}

/* The first `byte` outside quotes, or -1. RFC 5322 3.2.4: a backslash quotes within quotes only; a
 * local part in quotes may hold commas and colons. */
static ptrdiff_t find_unquoted(struct span s, char byte)
{
    bool quoted = false;

    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '\\' && quoted)
            i++;
        else if (s.data[i] == '"')
            quoted = !quoted;
        else if (s.data[i] == byte && !quoted)
            return (ptrdiff_t)i;
    }
    return -1;
}

/* What aliases(5) allows and we don't; NULL for what may be an address. Errors, not warnings:
 * whoever moves here from sendmail must see that these lines would do nothing. */
static const char *refusal(struct span target)
{
    if (target.data[0] == '"' && target.size > 1)
        target = span_from(target, 1);
    if (target.data[0] == '|')
        return "programs are not started from aliases; deliver to a user";
    if (target.data[0] == '/')
        return "files are not written from aliases; deliver to a user";
    if (span_starts_nocase(target, SPAN(":include:")))
        return ":include: is not read; write its addresses here";
    return NULL;
}

static void read_target(struct reader *r, struct span text)
{
    struct conf_place place = place_of(r, text);
    const char *why = refusal(text);
    struct address address;
    bool direct = text.data[0] == '\\';

    r->targets++;
    if (why) {
        conf_error(r->problems, place, "`%.*s`: %s", SPAN_ARG(span_first(text, 80)), why);
        return;
    }
    enum address_result result = address_parse(
        direct ? span_from(text, 1) : text, ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_NO_DOMAIN, &address);
    if (result != ADDRESS_OK)
        conf_error(r->problems, place,
                   "`%.*s` is not an address; write a name or name@domain, with commas between",
                   SPAN_ARG(span_first(text, 80)));
    else if (address.literal)
        conf_error(r->problems, place,
                   "`%.*s`: mail is not carried to addresses in brackets; name a domain",
                   SPAN_ARG(span_first(text, 80)));
    else if (r->has_name)
        r->sink->target(r->sink->owner, &address, direct, place);
}

static void read_targets(struct reader *r, struct span rest)
{
    while (rest.size) {
        ptrdiff_t comma = find_unquoted(rest, ',');
        struct span item = comma < 0 ? rest : span_first(rest, (size_t)comma);
        rest = span_from(rest, item.size + 1);
        item = span_trim(item);
        if (item.size)
            read_target(r, item);
    }
}

/* An alias without targets would be a black hole; good or bad ones count, since bad ones were told
 * of already. */
static void end_alias(struct reader *r)
{
    if (r->has_name && r->targets == 0)
        conf_error(r->problems, r->name_place,
                   "the alias has no target; name one behind the colon, or take the alias out");
    r->has_name = false;
}

/* A line whose name is bad still has its targets read: all faults of a file are told in one go. */
static void read_name(struct reader *r)
{
    ptrdiff_t colon = find_unquoted(r->line, ':');
    struct address name;

    end_alias(r);
    r->targets = 0;
    r->name_place = place_of(r, r->line);
    if (colon < 0) {
        conf_error(r->problems, r->name_place,
                   "no colon; write `name: target, target`, and indent a line that goes on");
        return;
    }
    struct span text = span_trim(span_first(r->line, (size_t)colon));
    if (address_parse(text, ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_NO_DOMAIN, &name) != ADDRESS_OK ||
        name.literal) {
        conf_error(r->problems, r->name_place,
                   "`%.*s` can't be the name of an alias; write a local part or a whole address",
                   SPAN_ARG(span_first(text, 80)));
    } else {
        r->has_name = true;
        r->sink->name(r->sink->owner, &name, r->name_place);
    }
    read_targets(r, span_from(r->line, (size_t)colon + 1));
}

static void read_line(struct reader *r)
{
    bool goes_on = r->line.size && (r->line.data[0] == ' ' || r->line.data[0] == '\t');

    if (line_is_idle(r->line))
        return;
    if (memchr(r->line.data, '\0', r->line.size)) {
        conf_error(r->problems, place_of(r, r->line), "the line holds a NUL byte; write it again");
        return;
    }
    if (!goes_on) {
        read_name(r);
        return;
    }
    if (!r->has_name && r->name_place.line == 0)
        conf_error(r->problems, place_of(r, r->line),
                   "an indented line goes on with the one before, but there is none; take the "
                   "blanks out");
    read_targets(r, r->line);
}

void aliases_read(struct span text, struct span file, struct conf_problems *problems,
                  const struct aliases_sink *sink)
{
    struct reader r = {.problems = problems, .sink = sink, .lines = {.rest = text}, .file = file};

    while (lines_next(&r.lines, &r.line))
        read_line(&r);
    end_alias(&r);
}
