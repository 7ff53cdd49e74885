#include "cli/reload.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"

static const struct cli_usage usage = {
    .name = "reload",
    .help =
        "Makes the server read its configuration, users and aliases anew. Sessions under way keep\n"
        "the old one until they end. When there is an error nothing changes. Exits 1 then, and\n"
        "when not all of the new configuration is in force.\n",
};

struct answer {
    bool done, partly;
};

static void on_reloaded(void *arg, const struct ipc_message *reply)
{
    struct answer *answer = arg;

    answer->done = reply->reloaded.done;
    answer->partly = reply->reloaded.partly;
    cli_put_lines(stderr, "", reply->reloaded.text);
}

int cli_reload_ask(const char *command, struct cli_control *control, bool *out_partly)
{
    const struct ipc_message ask = {.type = IPC_RELOAD};
    struct answer answer = {0};
    int code = cli_control_ask(control, &ask, on_reloaded, &answer);

    *out_partly = false;
    if (code == CLI_OK && !answer.done) {
        cli_complain(command, "the server goes on with its old configuration");
        return CLI_BAD_NEWS;
    }
    *out_partly = answer.partly;
    return code;
}

int cli_reload(int argc, char **argv)
{
    struct cli_control *control;
    struct cli_server server;
    struct cli_parser parser;
    bool partly;

    if (cli_parse_all(&parser, &usage, argc, argv) < 0)
        return parser.exit_code;
    if (parser.first < argc)
        return cli_wrong_usage(&usage, "too many arguments");
    if (cli_server_find("reload", parser.config, &server) < 0 ||
        cli_control_open("reload", server.control, &control) != CLI_OK)
        return CLI_UNREACHED;
    int code = cli_reload_ask("reload", control, &partly);
    cli_control_close(control);
    if (code == CLI_OK && partly) {
        cli_complain("reload", "not all of the new configuration is in force");
        return CLI_BAD_NEWS;
    }
    return code;
}
