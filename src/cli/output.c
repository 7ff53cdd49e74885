/*
 * What people read. Texts of strangers go through printable.h, and the end of a command is its
 * output being written: a full disk behind a pipe is an error as well.
 */
#include "base/printable.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

const struct cli_style *cli_style(FILE *to)
{
    static const struct cli_style plain = {"", "", "", "", "", ""};
    static const struct cli_style coloured = {"\x1b[1m",  "\x1b[2m",  "\x1b[31m",
                                              "\x1b[32m", "\x1b[33m", "\x1b[0m"};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    if ((no_color && *no_color) || !term || strcmp(term, "dumb") == 0 || !isatty(fileno(to)))
        return &plain;
    return &coloured;
}

void cli_put(FILE *to, struct span text)
{
    struct buffer b = BUFFER_INIT;

    printable_append(&b, text);
    if (b.size)
        fwrite(b.data, 1, b.size, to);
    buffer_done(&b);
}

void cli_put_lines(FILE *to, const char *before, struct span text)
{
    for (struct span line; span_next_line(&text, &line);) {
        fputs(before, to);
        cli_put(to, line);
        fputc('\n', to);
    }
}

void cli_complain(const char *command, const char *format, ...)
{
    struct buffer b = BUFFER_INIT;
    va_list args;

    va_start(args, format);
    buffer_vprintf(&b, format, args);
    va_end(args);
    fprintf(stderr, "postbuch%s%s: ", command ? " " : "", command ? command : "");
    cli_put(stderr, buffer_span(&b));
    fputc('\n', stderr);
    buffer_done(&b);
}

bool cli_says_yes(const char *format, ...)
{
    char line[16];
    va_list args;

    fflush(stdout);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("? [y/N] ", stderr);
    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int cli_finish_output(const char *command, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    cli_complain(command, "can't write the output: %s", strerror(errno));
    return CLI_BAD_NEWS;
}
