/*
 * One byte at a time: replies are short. The grammar is in is_well_formed(), the ends of lines in
 * end_line(); what is kept stops at SMTP_HEARD_KEPT while the rest is still checked and counted.
 */
#include "smtp/client/reply.h"

#include <errno.h>
#include <stdio.h>

void smtp_heard_init(struct smtp_heard *h)
{
    h->whole = true;
    h->kept = 0;
    h->total = h->lines = 0;
}

static void begin(struct smtp_heard *h)
{
    h->code = h->line_code = 0;
    h->last = h->whole = false;
    h->line_size = h->total = h->lines = 0;
    h->kept = 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void keep(struct smtp_heard *h, char c)
{
    if (h->kept < SMTP_HEARD_KEPT)
        h->text[h->kept++] = c;
}

/* The first four bytes of a line are its grammar, the rest is text. */
static bool is_well_formed(struct smtp_heard *h, char c)
{
    if (h->line_size < 3) {
        if (!is_digit(c) || (h->line_size == 0 && (c < '2' || c > '5')))
            return false;
        h->line_code = (uint16_t)(h->line_code * 10 + (c - '0'));
        return true;
    }
    if (h->line_size > 3)
        return true;
    h->last = c != '-';
    return c == ' ' || c == '-' || c == '\r';
}

static int end_line(struct smtp_heard *h)
{
    if (h->line_size < 3 || (h->code && h->line_code != h->code))
        return -EPROTO;
    if (h->line_size == 3)
        h->last = true;
    if (h->kept && h->text[h->kept - 1] == '\r')
        h->kept--;
    h->code = h->line_code;
    h->lines++;
    h->whole = h->last;
    if (h->last)
        return 1;
    keep(h, '\n');
    h->line_code = 0;
    h->line_size = 0;
    return 0;
}

static int on_byte(struct smtp_heard *h, char c)
{
    if (++h->total > SMTP_HEARD_TOTAL_MAX)
        return -EPROTO;
    if (c == '\n')
        return end_line(h);
    bool good = is_well_formed(h, c);
    keep(h, c);
    return good && ++h->line_size <= SMTP_HEARD_LINE_MAX ? 0 : -EPROTO;
}

int smtp_heard_feed(struct smtp_heard *h, struct span in, size_t *out_used)
{
    int r = 0;
    size_t at = 0;

    if (h->whole && in.size)
        begin(h);
    while (r == 0 && at < in.size)
        r = on_byte(h, in.data[at++]);
    *out_used = at;
    return r;
}

bool smtp_heard_line(struct span *rest, struct span *out_line)
{
    if (rest->size < 3)
        return false;
    ptrdiff_t lf = span_find(*rest, '\n');
    size_t size = lf < 0 ? rest->size : (size_t)lf;
    *out_line = span_from(span_first(*rest, size), 4);
    *rest = span_from(*rest, size + 1);
    return true;
}

/* Takes up to three digits. */
static size_t take_number(struct span s, size_t at)
{
    size_t size = 0;

    while (size < 3 && at + size < s.size && is_digit(s.data[at + size]))
        size++;
    return size;
}

/* The length of "5.1.1" at the start of `s`, or 0. */
static size_t status_size(struct span s, char class_)
{
    if (s.size < 5 || s.data[0] != class_ || s.data[1] != '.')
        return 0;
    size_t subject = take_number(s, 2), at = 2 + subject;
    if (subject == 0 || at >= s.size || s.data[at] != '.')
        return 0;
    size_t detail = take_number(s, at + 1);
    at += 1 + detail;
    bool ends = at == s.size || !(is_digit(s.data[at]) || s.data[at] == '.');
    return detail && ends ? at : 0;
}

void smtp_heard_status(const struct smtp_heard *h, char out[static SMTP_HEARD_STATUS_SIZE])
{
    struct span rest = smtp_heard_text(h), line = SPAN("");
    /* RFC 3463 section 3.1 has no class 3: who got "go on" instead of an answer is to try again. */
    char class_ = h->code / 100 == 3 ? '4' : (char)('0' + h->code / 100);

    smtp_heard_line(&rest, &line);
    size_t size = status_size(line, class_);
    if (size)
        snprintf(out, SMTP_HEARD_STATUS_SIZE, SPAN_FMT, SPAN_ARG(span_first(line, size)));
    else
        snprintf(out, SMTP_HEARD_STATUS_SIZE, "%c.0.0", class_);
}
