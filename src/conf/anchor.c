/*
 * The text form of RFC 1035 section 5.1 as far as a file of anchors needs it: comments, blanks and
 * parentheses. Of a record only its type is looked at: libunbound reads it.
 */
#include "conf/anchor.h"

#include "conf/file.h"
#include "conf/part.h"

#include <errno.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(' || c == ')';
}

/* Blanks in a row become one; none at the start. */
static void append(struct buffer *line, char c)
{
    if (!is_blank(c))
        buffer_append_byte(line, c);
    else if (line->size && line->data[line->size - 1] != ' ')
        buffer_append_byte(line, ' ');
}

/* One record, which parentheses may spread over lines. */
static void read_record(struct span *rest, struct buffer *line)
{
    unsigned depth = 0;
    bool comment = false;

    while (rest->size) {
        char c = rest->data[0];
        *rest = span_from(*rest, 1);
        if (c == '\n') {
            comment = false;
            if (depth == 0)
                return;
        }
        comment |= c == ';';
        if (comment)
            continue;
        depth += c == '(';
        depth -= c == ')' && depth > 0;
        append(line, c);
    }
}

bool anchor_next(struct span *rest, struct buffer *out_line)
{
    buffer_clear(out_line);
    while (rest->size && out_line->size == 0)
        read_record(rest, out_line);
    return out_line->size > 0;
}

/* Its type stands behind the name and perhaps TTL and class, in any order (RFC 1035 section 5.1).
 */
static bool is_key(struct span record)
{
    struct span words = record;

    for (int i = 0; i < 4 && words.size; i++) {
        ptrdiff_t end = span_find(words, ' ');
        struct span word = end < 0 ? words : span_first(words, (size_t)end);
        if (i > 0 &&
            (span_equal_nocase(word, SPAN("DS")) || span_equal_nocase(word, SPAN("DNSKEY"))))
            return true;
        words = span_from(words, end < 0 ? words.size : (size_t)end + 1);
    }
    return false;
}

int anchor_check(struct span text)
{
    struct buffer record = BUFFER_INIT;
    bool more = true;
    int r = -ENOENT;

    while (r == -ENOENT && more) {
        more = anchor_next(&text, &record);
        if (buffer_error(&record))
            r = buffer_error(&record);
        else if (is_key(buffer_span(&record)))
            r = 0;
    }
    buffer_done(&record);
    return r;
}

int anchor_check_file(const struct conf *conf, struct conf_problems *problems)
{
    struct span name = conf->resolver.trust_anchor;
    struct buffer text = BUFFER_LIMITED(ANCHOR_MAX);

    if (name.size == 0)
        return 0;
    int r = conf_file_read(name, problems, &text);
    if (r == 0) {
        r = anchor_check(buffer_span(&text));
        if (r < 0)
            conf_error(
                problems, (struct conf_place){name, 0, 0},
                r == -ENOENT
                    ? "holds no DS or DNSKEY record: nothing could be validated, and mail to "
                      "other servers would wait"
                    : "can't be looked at for want of memory; try again");
    }
    buffer_done(&text);
    return r < 0 ? -EINVAL : 0;
}
