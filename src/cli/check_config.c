#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/problem.h"
#include "conf/anchor.h"
#include "conf/user.h"
#include "people/people.h"
#include <errno.h>

static const struct cli_usage usage = {
    .name = "check-config",
    .help =
        "Reads the configuration and the users and aliases files that it names, and tells all\n"
        "that is wrong, each as FILE:LINE:COLUMN with the way to mend it. Warnings are about\n"
        "settings that are legal and yet lead mail nowhere. Users and aliases are read when the\n"
        "configuration itself has no errors. Exits 1 when there are errors.\n",
    .json = true,
};

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void put_all(const char *path, const struct conf_problems *p)
{
    const struct cli_style *style = cli_style(stdout);
    size_t all = p->error_count + p->warning_count;

    for (size_t i = 0; i < p->count; i++)
        cli_put_problem(stdout, &p->items[i]);
    if (all > p->count)
        printf("and %zu more\n", all - p->count);
    cli_put(stdout, span_from_cstr(path));
    if (all == 0)
        printf(": %sfine%s\n", style->green, style->reset);
    else
        printf(": %zu error%s, %zu warning%s\n", p->error_count, plural(p->error_count),
               p->warning_count, plural(p->warning_count));
}

static json_t *problem_json(const struct conf_problem *p)
{
    bool placed = p->place.line > 0;

    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "severity",
                     p->severity == CONF_ERROR ? "error" : "warning", "file",
                     cli_json_text(p->place.file), "line",
                     placed ? json_integer(p->place.line) : json_null(), "column",
                     placed && p->place.column ? json_integer(p->place.column) : json_null(),
                     "text", cli_json_text(p->text));
}

/* 0 or -ENOMEM. */
static int put_json(const char *path, const struct conf_problems *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->count; i++)
        json_array_append_new(list, problem_json(&p->items[i]));
    json_t *all =
        json_pack("{s:o, s:b, s:I, s:I, s:o}", "file", cli_json_text(span_from_cstr(path)), "ok",
                  p->error_count == 0, "errors", (json_int_t)p->error_count, "warnings",
                  (json_int_t)p->warning_count, "problems", list);
    if (!all)
        return -ENOMEM;
    cli_json_print(all, 0);
    putchar('\n');
    return 0;
}

/* 0, also with errors; -ENOMEM: not all was looked at. */
static int check(const char *path, struct conf_problems *problems)
{
    struct conf conf;
    int r = conf_load(path, problems, &conf);

    if (r == 0) {
        conf_check_users(&conf, NULL, problems);
        r = people_check_files(&conf, problems);
        anchor_check_file(&conf, problems);
    }
    conf_done(&conf);
    conf_problems_sort(problems);
    return r == -ENOMEM ? r : 0;
}

int cli_check_config(int argc, char **argv)
{
    static struct conf_problems problems;
    struct cli_parser parser;

    if (cli_parse_all(&parser, &usage, argc, argv) < 0)
        return parser.exit_code;
    if (argc > parser.first)
        return cli_wrong_usage(&usage, "it takes no arguments; name a file with --config");
    const char *path = cli_config_path(parser.config);
    conf_problems_init(&problems);
    int r = check(path, &problems);
    int code = problems.error_count ? CLI_BAD_NEWS : CLI_OK;
    if (r == 0 && parser.json)
        r = put_json(path, &problems);
    else if (r == 0)
        put_all(path, &problems);
    if (r < 0) {
        cli_complain("check-config", "out of memory");
        code = CLI_BAD_NEWS;
    }
    conf_problems_done(&problems);
    return cli_finish_output("check-config", code);
}
