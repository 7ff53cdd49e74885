/* `postbuch COMMAND`, or the name of another mailer's program that links to it. */
#include "cli/cli.h"

#include <signal.h>

static void print_help(void)
{
    const struct cli_style *style = cli_style(stdout);

    printf("usage: postbuch COMMAND [OPTION…]\n\n"
           "A mail server that keeps a book of every message it took.\n\n%sCommands%s\n",
           style->bold, style->reset);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        printf("  %-14s %s\n", c->name, c->help);
    printf("\npostbuch COMMAND --help tells more. Exit codes: 0 fine, 1 the answer is bad news,\n"
           "2 wrong usage, 75 the server can't be reached.\n");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* writing to a closed pipe or socket is an error code, not a death */
    const struct cli_command *command = argc ? cli_find_command(base_name(argv[0])) : NULL;
    if (command)
        return command->run(argc, argv);
    if (argc < 2) {
        print_help();
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return cli_finish_output(NULL, CLI_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("postbuch " POSTBUCH_VERSION);
        return cli_finish_output(NULL, CLI_OK);
    }
    command = cli_find_command(argv[1]);
    if (!command) {
        cli_complain(NULL, "there is no command %s; see postbuch --help", argv[1]);
        return CLI_USAGE;
    }
    return command->run(argc - 1, argv + 1);
}
