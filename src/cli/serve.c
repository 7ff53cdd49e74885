#include "cli/cli.h"
#include "cli/commands.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_usage usage = {
    .name = "serve",
    .help = "Starts the server and stays in the foreground. SIGHUP reloads the configuration,\n"
            "SIGTERM ends the server when what is under way is finished.\n",
};

/* Beside this program in a build tree, else where it was installed. */
static void find_supervisor(char out[static PATH_MAX])
{
    const char *folder = cli_program_folder();

    if (folder) {
        snprintf(out, PATH_MAX, "%s/proc/supervisor/supervisor", folder);
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, PATH_MAX, "%s/supervisor", POSTBUCH_LIBEXEC);
}

int cli_serve(int argc, char **argv)
{
    char self[PATH_MAX], supervisor[PATH_MAX];
    struct cli_parser parser;

    if (cli_parse_all(&parser, &usage, argc, argv) < 0)
        return parser.exit_code;
    if (parser.first < argc)
        return cli_wrong_usage(&usage, "it takes no arguments");
    /* The supervisor calls us back for what was left in the drop folder. */
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size > 0) {
        self[size] = '\0';
        setenv("POSTBUCH_PROGRAM", self, 1);
    }
    find_supervisor(supervisor);
    execl(supervisor, "postbuch", "--config", cli_config_path(parser.config), (char *)NULL);
    cli_complain("serve", "%s: %s", supervisor, strerror(errno));
    return CLI_BAD_NEWS;
}
