#include "base/printable.h"
#include "cli/cli.h"

#include <stdarg.h>
#include <uniwidth.h>

static size_t width_of(struct span text)
{
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

void cli_table_printf(struct cli_table *t, const char *format, ...)
{
    struct buffer b = BUFFER_INIT;
    va_list args;

    va_start(args, format);
    buffer_vprintf(&b, format, args);
    va_end(args);
    cli_table_add(t, buffer_span(&b));
    buffer_done(&b);
}

/* The last column isn't padded on its right. */
static void print_cell(const struct cli_table *t, size_t column, const char *text, FILE *to)
{
    bool last = column + 1 == t->column_count, right = t->columns[column].right;
    int padding = (int)(t->width[column] - width_of(span_from_cstr(text)));

    fprintf(to, "%*s%s%*s%s", right ? padding : 0, "", text, right || last ? 0 : padding, "",
            last ? "\n" : "  ");
}

static void print_titles(const struct cli_table *t, FILE *to)
{
    const struct cli_style *style = cli_style(to);

    fputs(style->bold, to);
    for (size_t i = 0; i < t->column_count; i++)
        print_cell(t, i, t->columns[i].title, to);
    fputs(style->reset, to);
}

int cli_table_print(const struct cli_table *t, FILE *to)
{
    const char *cell = t->cells.data;

    if (buffer_error(&t->cells))
        return buffer_error(&t->cells);
    if (!t->untitled)
        print_titles(t, to);
    for (size_t i = 0; i < t->cell_count; i++, cell += strlen(cell) + 1)
        print_cell(t, i % t->column_count, cell, to);
    return 0;
}

void cli_table_done(struct cli_table *t)
{
    buffer_done(&t->cells);
}
