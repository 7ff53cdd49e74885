#include "cli/problem.h"

#include "cli/cli.h"

void cli_put_problem(FILE *to, const struct conf_problem *problem)
{
    const struct cli_style *style = cli_style(to);
    bool error = problem->severity == CONF_ERROR;

    fputs(style->bold, to);
    cli_put(to, problem->place.file);
    if (problem->place.line)
        fprintf(to, ":%u", problem->place.line);
    if (problem->place.line && problem->place.column)
        fprintf(to, ":%u", problem->place.column);
    fprintf(to, ":%s %s%s:%s ", style->reset, error ? style->red : style->yellow,
            error ? "error" : "warning", style->reset);
    cli_put(to, problem->text);
    fputc('\n', to);
}

void cli_put_errors(FILE *to, const struct conf_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        if (problems->items[i].severity == CONF_ERROR)
            cli_put_problem(to, &problems->items[i]);
}
