#include "proc/mailbox/text.h"

/* One byte more is reserved than came: a CR that was held from the piece before. */
void text_lines_feed(struct text_lines *t, struct span piece, struct buffer *out)
{
    char *to = buffer_reserve(out, piece.size + 1), *begin = to;
    const char *from = piece.data, *end = from + piece.size;

    if (!to || piece.size == 0)
        return;
    if (t->held_cr && *from != '\n')
        *to++ = '\r';
    else if (t->held_cr)
        t->ended++;
    t->held_cr = false;
    while (from < end) {
        const char *cr = memchr(from, '\r', (size_t)(end - from));
        size_t run = (size_t)((cr ? cr : end) - from);
        memcpy(to, from, run);
        to += run;
        from += run;
        if (!cr)
            break;
        from++;
        if (from == end)
            t->held_cr = true;
        else if (*from == '\n')
            t->ended++;
        else
            *to++ = '\r';
    }
    out->size += (size_t)(to - begin);
}

void text_lines_finish(struct text_lines *t, struct buffer *out)
{
    if (t->held_cr)
        buffer_append_byte(out, '\r');
    t->held_cr = false;
}
