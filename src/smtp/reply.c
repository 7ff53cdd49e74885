#include "smtp/reply.h"

void smtp_text_clean(char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] < ' ' || data[i] > '~')
            data[i] = '?';
}

void smtp_reply_line(struct buffer *out, const struct smtp_reply *reply, struct span text,
                     bool last)
{
    text = span_first(text, SMTP_REPLY_TEXT_MAX);
    buffer_printf(out, "%03u%c", reply->code, last ? ' ' : '-');
    if (reply->enhanced)
        buffer_printf(out, "%s ", reply->enhanced);
    size_t start = out->size;
    buffer_append_span(out, text);
    if (buffer_error(out) == 0)
        smtp_text_clean(out->data + start, text.size);
    buffer_append_span(out, SPAN("\r\n"));
}

void smtp_reply_write(struct buffer *out, const struct smtp_reply *reply)
{
    smtp_reply_line(out, reply, span_from_cstr(reply->text), true);
}
