/*
 * Options of all commands, described once: the tables make getopt's, the help and the completion.
 */
#include "cli/cli.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

/* Keys of the common options: out of reach of letters and of the small numbers that commands use.
 */
enum { KEY_HELP = 0x10000, KEY_CONFIG, KEY_JSON };

/* getopt's tables have a named option's key from here on: what it says of one is of no letter. */
enum { NAMED = 0x100000 };

static const struct cli_option common_options[] = {
    {"json", 0, NULL, "print JSON", KEY_JSON},
    {"config", 0, "FILE",
     "the configuration to use (default: $POSTBUCH_CONFIG, else " CLI_CONFIG_DEFAULT ")",
     KEY_CONFIG},
    {"help", 'h', NULL, "print this help", KEY_HELP},
};

/* The options of a command and the common ones as one list; NULL at the end. A command's own
 * letter hides a common one's (sendmail's -h). */
static const struct cli_option *option_at(const struct cli_usage *usage, size_t index)
{
    if (index < usage->option_count)
        return &usage->options[index];
    index -= usage->option_count;
    if (!usage->json)
        index++;
    return index < ARRAY_SIZE(common_options) ? &common_options[index] : NULL;
}

static const struct cli_option *option_by_letter(const struct cli_usage *usage, int letter)
{
    const struct cli_option *o;

    for (size_t i = 0; letter && (o = option_at(usage, i)); i++)
        if (o->letter == letter)
            return o;
    return NULL;
}

enum { HELP_COLUMN = 26 };

static void print_option(const struct cli_option *o)
{
    char left[64];

    if (!o->help)
        return;
    int n = o->letter ? snprintf(left, sizeof(left), "  -%c", o->letter)
                      : snprintf(left, sizeof(left), "    ");
    if (o->name)
        n +=
            snprintf(left + n, sizeof(left) - (size_t)n, "%s --%s", o->letter ? "," : " ", o->name);
    if (o->argument)
        n += snprintf(left + n, sizeof(left) - (size_t)n, " %s", o->argument);
    if (n > HELP_COLUMN)
        printf("%s\n%*s %s\n", left, HELP_COLUMN, "", o->help);
    else
        printf("%-*s %s\n", HELP_COLUMN, left, o->help);
}

static void print_help(const struct cli_usage *usage)
{
    const struct cli_option *o;

    printf("usage: postbuch %s [OPTION…]%s%s\n\n%s\n", usage->name, usage->arguments ? " " : "",
           usage->arguments ? usage->arguments : "", usage->help);
    for (size_t i = 0; (o = option_at(usage, i)); i++)
        print_option(o);
}

static int stop(struct cli_parser *p, int exit_code)
{
    p->exit_code = exit_code;
    return -1;
}

/* getopt.h's words for it, which also count the colons behind a letter. */
static int takes_value(const struct cli_option *o)
{
    if (!o->argument)
        return no_argument;
    return o->argument[0] == '[' ? optional_argument : required_argument;
}

/* getopt's own tables, made from ours. A leading ':' keeps it silent and tells a missing value from
 * an unknown option. */
static int call_getopt(struct cli_parser *p)
{
    struct option named[CLI_OPTIONS_MAX] = {0};
    char letters[3 * CLI_OPTIONS_MAX + 2] = ":";
    size_t letter_count = 1, named_count = 0;
    const struct cli_option *o;

    for (size_t i = 0; i < CLI_OPTIONS_MAX - 1 && (o = option_at(p->usage, i)); i++) {
        if (o->name)
            named[named_count++] = (struct option){
                o->name, o->argument ? required_argument : no_argument, NULL, NAMED + o->key};
        if (o->letter && option_by_letter(p->usage, o->letter) == o) {
            letters[letter_count++] = o->letter;
            for (int colons = takes_value(o); colons > 0; colons--)
                letters[letter_count++] = ':';
        }
    }
    return getopt_long(p->argc, p->argv, letters, named, NULL);
}

void cli_parse_init(struct cli_parser *p, const struct cli_usage *usage, int argc, char **argv)
{
    *p = (struct cli_parser){.usage = usage, .argc = argc, .argv = argv};
    optind = 0; /* glibc: start anew */
    opterr = 0;
}

/* Of a name that isn't known: it may be the beginning of several. */
static bool is_ambiguous(const struct cli_usage *usage, const char *name)
{
    const struct cli_option *o;

    for (size_t i = 0; (o = option_at(usage, i)); i++)
        if (o->name && strncmp(o->name, name, strcspn(name, "=")) == 0)
            return true;
    return false;
}

/* Of a name that is known optopt is its key, of another 0; of a letter it is the letter, and then
 * the argument before `optind` need not be the one that it stands in. */
static int bad_option(struct cli_parser *p, int what)
{
    const char *text = p->argv[optind - 1];

    if (what == ':')
        return stop(p, cli_wrong_usage(p->usage, "%s needs a value", text));
    if (optopt >= NAMED)
        return stop(p, cli_wrong_usage(p->usage, "%s: this option takes no value", text));
    if (optopt)
        return stop(p, cli_wrong_usage(p->usage, "there is no option -%c", optopt));
    return stop(p, cli_wrong_usage(p->usage,
                                   is_ambiguous(p->usage, text + 2) ? "%s may be several options"
                                                                    : "there is no option %s",
                                   text));
}

int cli_parse_next(struct cli_parser *p)
{
    for (;;) {
        int key = call_getopt(p);
        if (key == '?' || key == ':')
            return bad_option(p, key);
        const struct cli_option *o = option_by_letter(p->usage, key);
        if (o)
            key = o->key;
        else if (key >= NAMED)
            key -= NAMED;
        switch (key) {
        case -1:
            p->first = optind;
            return 0;
        case KEY_HELP:
            print_help(p->usage);
            return stop(p, cli_finish_output(p->usage->name, CLI_OK));
        case KEY_CONFIG:
            p->config = optarg;
            break;
        case KEY_JSON:
            p->json = true;
            break;
        default:
            p->value = optarg;
            return key;
        }
    }
}

int cli_parse_all(struct cli_parser *p, const struct cli_usage *usage, int argc, char **argv)
{
    cli_parse_init(p, usage, argc, argv);
    return cli_parse_next(p);
}

int cli_wrong_usage(const struct cli_usage *usage, const char *format, ...)
{
    struct buffer text = BUFFER_INIT;
    va_list args;

    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    cli_complain(usage->name, "%.*s; see postbuch %s --help", SPAN_ARG(buffer_span(&text)),
                 usage->name);
    buffer_done(&text);
    return CLI_USAGE;
}

const char *cli_program_folder(void)
{
    static char folder[PATH_MAX];

    if (folder[0] == '\0') {
        ssize_t size = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
        ptrdiff_t slash = size > 0 ? span_find_last(span_of(folder, (size_t)size), '/') : -1;
        folder[slash > 0 ? slash : 0] = '\0';
    }
    return folder[0] ? folder : NULL;
}

/* In the build tree the program is build/KIND/src/postbuch and ./run keeps its state in var/. */
static const char *config_in_place(void)
{
    static char path[PATH_MAX + 64];
    char var[PATH_MAX];
    const char *folder = cli_program_folder();

    if (!folder)
        return NULL;
    snprintf(path, sizeof(path), "%s/proc", folder);
    if (access(path, F_OK) < 0)
        return NULL;
    snprintf(path, sizeof(path), "%s/../../../var", folder);
    if (!realpath(path, var))
        return NULL;
    snprintf(path, sizeof(path), "%s/postbuch.yaml", var);
    return access(path, F_OK) == 0 ? path : NULL;
}

const char *cli_config_path(const char *given)
{
    const char *path = given ? given : getenv("POSTBUCH_CONFIG");

    if (!path || !*path)
        path = config_in_place();
    return path ? path : CLI_CONFIG_DEFAULT;
}
