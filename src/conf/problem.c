/*
 * Problems in an array of fixed size; their texts in an arena with a limit, since a bad file of a
 * megabyte may have a hundred thousand faults.
 */
#include "conf/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 400, TEXTS_MAX = 256 * 1024 };

void conf_problems_init(struct conf_problems *p)
{
    *p = (struct conf_problems){.arena = ARENA_LIMITED(TEXTS_MAX)};
}

void conf_problems_done(struct conf_problems *p)
{
    arena_done(&p->arena);
    p->count = 0;
}

/* The copy of a file's name that an earlier problem has made. */
static struct span own_name(struct conf_problems *p, struct span file)
{
    for (size_t i = p->count; i > 0; i--)
        if (span_equal(p->items[i - 1].place.file, file))
            return p->items[i - 1].place.file;
    return arena_copy(&p->arena, file);
}

/* The same line may be read for several domains. */
static bool is_known(const struct conf_problems *p, struct conf_place place, struct span text)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i].place.line == place.line && p->items[i].place.column == place.column &&
            span_equal(p->items[i].text, text) && span_equal(p->items[i].place.file, place.file))
            return true;
    return false;
}

/* The last one: an error must not be hidden by what only may be wrong. False: there is none. */
static bool drop_warning(struct conf_problems *p)
{
    for (size_t i = p->count; i > 0; i--)
        if (p->items[i - 1].severity == CONF_WARNING) {
            memmove(&p->items[i - 1], &p->items[i], (p->count - i) * sizeof(p->items[0]));
            p->count--;
            return true;
        }
    return false;
}

__attribute__((format(printf, 4, 0))) static void add(struct conf_problems *p,
                                                      enum conf_severity severity,
                                                      struct conf_place place, const char *format,
                                                      va_list args)
{
    char text[TEXT_MAX];
    int size = vsnprintf(text, sizeof(text), format, args);

    if (size < 0)
        return;
    struct span shown = span_first(span_of(text, (size_t)size), sizeof(text) - 1);
    if (is_known(p, place, shown))
        return;
    if (severity == CONF_ERROR)
        p->error_count++;
    else
        p->warning_count++;
    if (p->count == CONF_PROBLEMS_MAX && (severity == CONF_WARNING || !drop_warning(p)))
        return;
    place.file = own_name(p, place.file);
    p->items[p->count] = (struct conf_problem){severity, place, arena_copy(&p->arena, shown)};
    p->count++;
}

void conf_error(struct conf_problems *p, struct conf_place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(p, CONF_ERROR, place, format, args);
    va_end(args);
}

void conf_warn(struct conf_problems *p, struct conf_place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(p, CONF_WARNING, place, format, args);
    va_end(args);
}

static int by_place(const void *left, const void *right)
{
    const struct conf_problem *a = left, *b = right;

    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    if (a->place.column != b->place.column)
        return a->place.column < b->place.column ? -1 : 1;
    return (a->severity < b->severity) - (a->severity > b->severity);
}

/* Moves the problems of `file` to items[from…], keeping the order of the others. */
static size_t gather(struct conf_problems *p, size_t from, struct span file)
{
    size_t end = from;

    for (size_t i = from; i < p->count; i++) {
        if (!span_equal(p->items[i].place.file, file))
            continue;
        struct conf_problem found = p->items[i];
        memmove(&p->items[end + 1], &p->items[end], (i - end) * sizeof(found));
        p->items[end++] = found;
    }
    return end;
}

void conf_problems_sort(struct conf_problems *p)
{
    for (size_t from = 0, end; from < p->count; from = end) {
        end = gather(p, from, p->items[from].place.file);
        qsort(&p->items[from], end - from, sizeof(p->items[0]), by_place);
    }
}

void conf_problem_format(const struct conf_problem *problem, struct buffer *out)
{
    buffer_append_span(out, problem->place.file);
    if (problem->place.line)
        buffer_printf(out, ":%u", problem->place.line);
    if (problem->place.line && problem->place.column)
        buffer_printf(out, ":%u", problem->place.column);
    buffer_printf(out, ": %s: ", problem->severity == CONF_ERROR ? "error" : "warning");
    buffer_append_span(out, problem->text);
}
