/*
 * Cells are kept as text, each with a NUL, and are padded when the widest of each column is known.
 * Columns are counted as a terminal shows them (uniwidth: wide and combining characters).
 */
#include "base/printable.h"
#include "cli/cli.h"

#include <uniwidth.h>

static size_t width_of(struct span text)
{
    size_t plain = printable_plain_size(text);

    if (plain == text.size) /* as most cells are, of a listing that may have a million lines */
        return plain;
    int width = u8_width((const uint8_t *)text.data, text.size, "UTF-8");

    return width > 0 ? (size_t)width : 0;
}

void cli_table_init(struct cli_table *t, const struct cli_column *columns, size_t column_count)
{
    *t = (struct cli_table){.columns = columns, .column_count = column_count};
    for (size_t i = 0; i < column_count; i++)
        t->width[i] = width_of(span_from_cstr(columns[i].title));
}

void cli_table_add(struct cli_table *t, struct span text)
{
    size_t start = t->cells.size, column = t->cell_count % t->column_count;

    printable_append(&t->cells, text);
    size_t width = width_of(span_from(buffer_span(&t->cells), start));
    buffer_append_byte(&t->cells, '\0');
    t->cell_count++;
    if (width > t->width[column])
        t->width[column] = width;
}

void cli_table_add_number(struct cli_table *t, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    cli_table_add(t, span_of(digits + at, sizeof(digits) - at));
}

static void add_blanks(struct buffer *line, size_t count)
{
    char *blanks = buffer_reserve(line, count);

    if (blanks)
        memset(blanks, ' ', count);
    line->size += blanks ? count : 0;
}

/* The last column isn't padded on its right. */
static void add_cell(const struct cli_table *t, size_t column, struct span text,
                     struct buffer *line)
{
    bool last = column + 1 == t->column_count, right = t->columns[column].right;
    size_t padding = right || !last ? t->width[column] - width_of(text) : 0;

    if (!right)
        buffer_append_span(line, text);
    add_blanks(line, padding);
    if (right)
        buffer_append_span(line, text);
    buffer_append_span(line, last ? SPAN("\n") : SPAN("  "));
}

static void add_titles(const struct cli_table *t, const struct cli_style *style,
                       struct buffer *lines)
{
    buffer_append_span(lines, span_from_cstr(style->bold));
    for (size_t i = 0; i < t->column_count; i++)
        add_cell(t, i, span_from_cstr(t->columns[i].title), lines);
    buffer_append_span(lines, span_from_cstr(style->reset));
}

int cli_table_print(const struct cli_table *t, FILE *to)
{
    struct buffer lines = BUFFER_INIT;
    struct span cell = span_of(t->cells.data, 0);
    int r = buffer_error(&t->cells);

    if (r == 0 && !t->untitled)
        add_titles(t, cli_style(to), &lines);
    for (size_t i = 0; r == 0 && i < t->cell_count; i++) {
        cell = span_from_cstr(cell.data);
        add_cell(t, i % t->column_count, cell, &lines);
        cell.data += cell.size + 1;
    }
    if (r == 0)
        r = buffer_error(&lines);
    if (r == 0 && lines.size)
        fwrite(lines.data, 1, lines.size, to);
    buffer_done(&lines);
    return r;
}

void cli_table_done(struct cli_table *t)
{
    buffer_done(&t->cells);
}
