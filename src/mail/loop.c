#include "mail/loop.h"

static const struct span mark = {"Delivered-To:", 13};

/* A whole header line without its line end. Folded lines aren't joined: Delivered-To is one line,
 * as we and others write it. */
static void end_line(struct mail_loop *t)
{
    struct span line = {t->line, t->line_size};

    t->line_size = 0;
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0) {
        t->body_began = true;
        return;
    }
    if (!span_starts_nocase(line, mark))
        return;
    t->marks++;
    buffer_append_span(&t->seen, span_trim(span_from(line, mark.size)));
    buffer_append_byte(&t->seen, '\n');
}

void mail_loop_feed(struct mail_loop *t, struct span piece)
{
    while (!t->body_began && piece.size > 0) {
        ptrdiff_t lf = span_find(piece, '\n');
        struct span part = span_first(piece, lf < 0 ? piece.size : (size_t)lf);
        struct span kept = span_first(part, MAIL_LOOP_LINE - t->line_size);

        memcpy(t->line + t->line_size, kept.data, kept.size);
        t->line_size += kept.size;
        piece = span_from(piece, part.size + (lf >= 0));
        if (lf >= 0)
            end_line(t);
    }
}

/* When it can't be known it is taken for a loop: a refusal reaches the sender, a loop reaches
 * nobody and never ends. Without regard to case, since mailboxes don't have any either. */
bool mail_loop_has(const struct mail_loop *t, struct span address)
{
    struct span left = buffer_span(&t->seen);

    if (t->marks > MAIL_LOOP_MARKS_MAX || buffer_error(&t->seen))
        return true;
    while (left.size > 0) {
        ptrdiff_t lf = span_find(left, '\n');
        if (lf < 0)
            break;
        if (span_equal_nocase(span_first(left, (size_t)lf), address))
            return true;
        left = span_from(left, (size_t)lf + 1);
    }
    return false;
}

void mail_loop_done(struct mail_loop *t)
{
    buffer_done(&t->seen);
}
