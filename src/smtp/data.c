/*
 * The machine of data.h takes one byte at a time (on_byte), but nearly all mail goes past it: runs
 * of whole clean lines, and clean parts of lines, are found by memchr() and copied at once. Both
 * ways must decode alike, whatever the pieces; tests feed the same bytes in all sizes.
 */
#include "smtp/data.h"

void smtp_data_init(struct smtp_data *data, bool dots, bool normalize, size_t line_max)
{
    *data = (struct smtp_data){
        .state = SMTP_DATA_LINE_START,
        .dots = dots,
        .normalize = normalize,
        .line_max = line_max,
        .line = 1,
    };
}

/* Only the first one is told, with its line: the others may follow from it. */
static void set_fault(struct smtp_data *data, enum smtp_data_fault fault)
{
    if (data->fault == SMTP_DATA_FAULT_NONE)
        data->fault = fault;
}

static void end_line(struct smtp_data *data, struct buffer *out)
{
    buffer_append_span(out, SPAN("\r\n"));
    data->line_size = 0;
    if (data->fault == SMTP_DATA_FAULT_NONE)
        data->line++;
}

/* Dots that were taken out don't count, line ends neither. */
static void count_bytes(struct smtp_data *data, size_t size)
{
    data->line_size += size;
    if (data->line_size > data->line_max)
        set_fault(data, SMTP_DATA_FAULT_LONG_LINE);
}

/* A CR that no LF followed. */
static void give_bare_cr(struct smtp_data *data, struct buffer *out)
{
    if (!data->normalize)
        set_fault(data, SMTP_DATA_FAULT_BARE_CR);
    count_bytes(data, 1);
    buffer_append_byte(out, data->normalize ? ' ' : '\r');
}

/* An LF that no CR preceded. The next line does not start a line in the sense of the end: neither
 * LF "." CRLF nor what normalising makes of it may end the data. */
static void give_bare_lf(struct smtp_data *data, struct buffer *out)
{
    if (data->normalize) {
        end_line(data, out);
    } else {
        set_fault(data, SMTP_DATA_FAULT_BARE_LF);
        count_bytes(data, 1);
        buffer_append_byte(out, '\n');
    }
    data->state = SMTP_DATA_LINE;
}

static void give_byte(struct smtp_data *data, char c, struct buffer *out)
{
    data->state = SMTP_DATA_LINE;
    if (c == '\0') {
        if (data->normalize)
            return;
        set_fault(data, SMTP_DATA_FAULT_NUL);
    }
    count_bytes(data, 1);
    buffer_append_byte(out, c);
}

/* A byte inside a line or at its start. */
static void on_text(struct smtp_data *data, char c, struct buffer *out)
{
    if (c == '\r')
        data->state = SMTP_DATA_CR;
    else if (c == '\n')
        give_bare_lf(data, out);
    else if (c == '.' && data->dots && data->state == SMTP_DATA_LINE_START)
        data->state = SMTP_DATA_DOT;
    else
        give_byte(data, c, out);
}

static void on_byte(struct smtp_data *data, char c, struct buffer *out)
{
    switch (data->state) {
    case SMTP_DATA_LINE_START:
    case SMTP_DATA_LINE:
        on_text(data, c, out);
        break;
    case SMTP_DATA_CR:
        if (c == '\n') {
            end_line(data, out);
            data->state = SMTP_DATA_LINE_START;
        } else {
            give_bare_cr(data, out);
            data->state = SMTP_DATA_LINE;
            on_text(data, c, out);
        }
        break;
    case SMTP_DATA_DOT: /* the dot itself is dropped, whatever follows (RFC 5321 4.5.2) */
        if (c == '\r') {
            data->state = SMTP_DATA_DOT_CR;
        } else {
            data->state = SMTP_DATA_LINE;
            on_text(data, c, out);
        }
        break;
    case SMTP_DATA_DOT_CR:
        if (c == '\n') {
            data->state = SMTP_DATA_END;
        } else {
            give_bare_cr(data, out);
            data->state = SMTP_DATA_LINE;
            on_text(data, c, out);
        }
        break;
    case SMTP_DATA_END:
        break;
    }
}

/* How much of `in`, which begins at the start of a line, is whole lines with nothing to do in them.
 * Most data goes this way: three searches a line, one copy a run. Not used inside a line: a line
 * full of bare CRs would be searched for its LF again and again. */
static size_t clean_run(struct smtp_data *data, struct span in)
{
    size_t at = 0;

    while (at < in.size) {
        const char *start = in.data + at;
        const char *lf = memchr(start, '\n', in.size - at);
        if (!lf || lf == start || lf[-1] != '\r' || (data->dots && *start == '.'))
            break;
        size_t text = (size_t)(lf - start) - 1;
        if (memchr(start, '\r', text) || memchr(start, '\0', text))
            break;
        count_bytes(data, text);
        data->line_size = 0;
        if (data->fault == SMTP_DATA_FAULT_NONE)
            data->line++;
        at += text + 2;
    }
    return at;
}

/* Bytes up to the next one that needs a look; used for the parts of a line that clean_run leaves.
 */
static size_t plain_run(struct span in)
{
    size_t size = 0;

    while (size < in.size && in.data[size] != '\r' && in.data[size] != '\n' && in.data[size])
        size++;
    return size;
}

/* Bytes that need no look at all; 0 when the next one does. */
static size_t give_run(struct smtp_data *data, struct span in, struct buffer *out)
{
    size_t size = 0;

    if (data->state == SMTP_DATA_LINE_START)
        size = clean_run(data, in);
    if (size == 0 && (data->state == SMTP_DATA_LINE ||
                      (data->state == SMTP_DATA_LINE_START && !(data->dots && *in.data == '.')))) {
        size = plain_run(in);
        count_bytes(data, size);
        if (size)
            data->state = SMTP_DATA_LINE;
    }
    buffer_append(out, in.data, size);
    return size;
}

size_t smtp_data_decode(struct smtp_data *data, struct span in, struct buffer *out)
{
    size_t at = 0;

    while (at < in.size && data->state != SMTP_DATA_END) {
        struct span rest = span_from(in, at);
        size_t run = give_run(data, rest, out);
        if (run == 0)
            on_byte(data, rest.data[0], out);
        at += run ? run : 1;
    }
    return at;
}

void smtp_data_finish(struct smtp_data *data, struct buffer *out)
{
    if (data->state == SMTP_DATA_CR)
        give_bare_cr(data, out);
    data->state = SMTP_DATA_END;
}
