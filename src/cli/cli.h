/*
 * What all commands of `postbuch` share: the table of commands, options declared once (parsing and
 * --help come from the same table), exit codes, colours, and printing of text that strangers wrote.
 *
 * A command is a function `int cli_NAME(int argc, char **argv)`, argv[0] its name, which returns an
 * exit code. To add one: its source in src/cli/meson.build, its line in src/cli/commands.c.
 */
#pragma once

#include "base/buffer.h"

#include <jansson.h>
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_BAD_NEWS = 1,   /* the command worked, the answer is bad news */
    CLI_USAGE = 2,      /* wrong usage */
    CLI_UNREACHED = 75, /* sysexits' EX_TEMPFAIL: can't reach the server, try again later */
};

/* ---- commands (commands.c) ---- */

struct cli_command {
    const char *name;
    const char *help; /* one line */
    int (*run)(int argc, char **argv);
};

/* In the order of --help; the last one's name is NULL. */
extern const struct cli_command cli_commands[];

/* NULL when there is none of this name. Names of other mailers' programs (sendmail, mailq,
 * newaliases) are found too. */
const struct cli_command *cli_find_command(const char *name);

/* ---- options (options.c) ---- */

enum { CLI_OPTIONS_MAX = 64 };

struct cli_option {
    const char *name;     /* without dashes; NULL: only a letter */
    char letter;          /* 0: only a name */
    const char *argument; /* what --help calls its value; NULL: takes none; "[X]": may be missing */
    const char *help;     /* NULL: accepted, not listed */
    int key;              /* what cli_parse_next() returns: > 0 */
};

/* Every command has --help and --config FILE; those that print data have --json. */
struct cli_usage {
    const char *name;      /* the command's */
    const char *arguments; /* for the first line of --help: "WHAT…"; NULL: it takes none */
    const char *help;      /* what it does, lines ending in \n */
    bool json;
    const struct cli_option *options;
    size_t option_count; /* at most CLI_OPTIONS_MAX - 4 */
};

struct cli_parser {
    const struct cli_usage *usage;
    int argc;
    char **argv;
    const char *value;  /* of the option just returned; lives as long as argv */
    const char *config; /* --config, or NULL */
    bool json;
    int first; /* index of the first argument that is no option, set at the end */
    int exit_code;
};

/* `argv` is reordered while it is parsed, as getopt(3) does: options come first. */
void cli_parse_init(struct cli_parser *p, const struct cli_usage *usage, int argc, char **argv);

/* The next option's key; 0 at the end; -1 when the command must return p->exit_code at once (help
 * was printed, or a complaint). Not reentrant: it uses getopt(3). */
int cli_parse_next(struct cli_parser *p);

/* Both for commands without options of their own. 0 or -1, as above. */
int cli_parse_all(struct cli_parser *p, const struct cli_usage *usage, int argc, char **argv);

/* Complains on standard error, points to --help, returns CLI_USAGE. */
int cli_wrong_usage(const struct cli_usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define CLI_CONFIG_DEFAULT "/etc/postbuch/postbuch.yaml"

/* The configuration file to use: `given` (--config), else $POSTBUCH_CONFIG, else, for a program
 * that still lies in its build folder, what ./run made, else CLI_CONFIG_DEFAULT. Valid until the
 * next call. */
const char *cli_config_path(const char *given);

/* The folder that the running program lies in, or NULL. Valid until the process ends. */
const char *cli_program_folder(void);

/* ---- output (output.c) ---- */

/* Escape sequences, all empty when the stream isn't a terminal or $NO_COLOR is set. */
struct cli_style {
    const char *bold;
    const char *dim;
    const char *red;
    const char *green;
    const char *yellow;
    const char *reset;
};

/* A constant. */
const struct cli_style *cli_style(FILE *to);

/* Text that strangers may have written (base/printable.h). */
void cli_put(FILE *to, struct span text);
/* The same of several lines, each of which is begun with `before` and ended with \n. */
void cli_put_lines(FILE *to, const char *before, struct span text);

/* "postbuch NAME: text" on standard error, controls escaped. */
void cli_complain(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Asks on the terminal, behind all that was printed; true for an answer that begins with y. */
bool cli_says_yes(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Flushes standard output; CLI_BAD_NEWS with a complaint when it could not be written (a full disk
 * must not look like success), else `code`. */
int cli_finish_output(const char *command, int code);

/* ---- JSON (json.c) ---- */

/* Text that may hold anything; bytes that aren't UTF-8 are shown as \\xNN. */
json_t *cli_json_text(struct span text);
/* RFC 3339, or null for 0. */
json_t *cli_json_time(int64_t wall_us);
/* Prints on standard output, takes `value` over; `indent` columns a level, 0: on one line. */
void cli_json_print(json_t *value, size_t indent);

/* ---- tables (table.c) ---- */

enum { CLI_TABLE_COLUMNS_MAX = 12 };

struct cli_column {
    const char *title;
    bool right; /* aligned to the right: numbers */
};

struct cli_table {
    const struct cli_column *columns;
    size_t column_count; /* at most CLI_TABLE_COLUMNS_MAX */
    struct buffer cells; /* escaped, each ended by NUL */
    size_t cell_count;
    size_t width[CLI_TABLE_COLUMNS_MAX];
    bool untitled; /* set to go on with a table whose titles were printed before */
};

/* `columns` are borrowed. */
void cli_table_init(struct cli_table *t, const struct cli_column *columns, size_t column_count);
/* Cells come row by row, from left to right. Out of memory shows in cli_table_print(). */
void cli_table_add(struct cli_table *t, struct span text);
void cli_table_add_number(struct cli_table *t, uint64_t number);
/* Titles, then the rows, columns aligned by what they measure on a terminal. 0 or -ENOMEM. */
int cli_table_print(const struct cli_table *t, FILE *to);
void cli_table_done(struct cli_table *t);
