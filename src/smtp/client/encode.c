/*
 * As smtp/data.c: whole clean lines and clean parts of lines are copied in runs, the rest goes byte
 * by byte. The two ways must encode alike, whatever the pieces.
 */
#include "smtp/client/encode.h"

static void on_byte(struct smtp_encode *e, char c, struct buffer *out)
{
    bool after_cr = e->after_cr;

    e->after_cr = false;
    if (c == '\n') { /* with its CR or without */
        buffer_append_span(out, SPAN("\r\n"));
        e->inside_line = false;
        return;
    }
    if (after_cr) {
        buffer_append_byte(out, ' ');
        e->inside_line = true;
    }
    if (c == '\r') {
        e->after_cr = true;
        return;
    }
    if (c == '.' && e->dots && !e->inside_line)
        buffer_append_byte(out, '.');
    buffer_append_byte(out, c);
    e->inside_line = true;
}

/* How much of `in`, which begins at the start of a line, is whole lines that go out as they are. */
static size_t clean_run(const struct smtp_encode *e, struct span in)
{
    size_t at = 0;

    while (at < in.size) {
        const char *start = in.data + at;
        const char *lf = memchr(start, '\n', in.size - at);
        if (!lf || lf == start || lf[-1] != '\r' || (e->dots && *start == '.') ||
            memchr(start, '\r', (size_t)(lf - start) - 1))
            break;
        at = (size_t)(lf - in.data) + 1;
    }
    return at;
}

/* Bytes up to the next one that needs a look: for the parts of a line that clean_run() leaves. */
static size_t plain_run(struct span in)
{
    size_t size = 0;

    while (size < in.size && in.data[size] != '\r' && in.data[size] != '\n')
        size++;
    return size;
}

void smtp_encode_feed(struct smtp_encode *e, struct span in, struct buffer *out)
{
    while (in.size) {
        size_t run = 0;
        if (!e->inside_line && !e->after_cr)
            run = clean_run(e, in);
        else if (!e->after_cr)
            run = plain_run(in);
        if (run)
            buffer_append(out, in.data, run);
        else
            on_byte(e, in.data[0], out);
        in = span_from(in, run ? run : 1);
    }
}

void smtp_encode_end(struct smtp_encode *e, struct buffer *out)
{
    if (e->after_cr || e->inside_line)
        buffer_append_span(out, SPAN("\r\n"));
    e->after_cr = e->inside_line = false;
}
