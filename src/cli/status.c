#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"
#include "cli/status_print.h"

#include "base/clock.h"

enum { KEY_FIGURES = 1 };

static const struct cli_option options[] = {
    {"figures", 0, NULL, "all that the processes count, a line each", KEY_FIGURES},
};

static const struct cli_usage usage = {
    .name = "status",
    .help = "Tells whether the server runs and all is well. With --json all figures come, too.\n"
            "Exits 1 when something must be looked at: what is red.\n",
    .json = true,
    .options = options,
    .option_count = ARRAY_SIZE(options),
};

/* Each process's figures came as text (docs/formats/control.md). */
static void read_figures(json_t *status)
{
    json_t *process;
    size_t place;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        const char *text = json_string_value(json_object_get(process, "figures"));
        json_t *figures = text ? json_loads(text, 0, NULL) : NULL;
        json_object_set_new(process, "figures", figures ? figures : json_null());
    }
}

static void on_status(void *arg, const struct ipc_message *reply)
{
    json_t **out = arg;

    *out = json_loadb(reply->status.json.data, reply->status.json.size, 0, NULL);
    read_figures(*out);
}

static int print_status(json_t *status, bool as_json, bool with_figures)
{
    if (as_json) {
        cli_json_print(json_incref(status), 2);
        putchar('\n');
        return 0;
    }
    if (with_figures)
        return status_print_figures(status);
    status_print_health(status, clock_wall_us());
    return 0;
}

int cli_status(int argc, char **argv)
{
    const struct ipc_message ask = {.type = IPC_STATUS_ASK};
    struct cli_control *control;
    struct cli_server server;
    struct cli_parser parser;
    json_t *status = NULL;
    bool with_figures = false;
    int key;

    cli_parse_init(&parser, &usage, argc, argv);
    while ((key = cli_parse_next(&parser)) > 0)
        with_figures |= key == KEY_FIGURES;
    if (key < 0)
        return parser.exit_code;
    if (parser.first < argc)
        return cli_wrong_usage(&usage, "too many arguments");
    if (cli_server_find("status", parser.config, &server) < 0 ||
        cli_control_open("status", server.control, &control) != CLI_OK)
        return CLI_UNREACHED;
    int code = cli_control_ask(control, &ask, on_status, &status);
    cli_control_close(control);
    if (code != CLI_OK)
        return code;
    if (status && status_is_bad(status))
        code = CLI_BAD_NEWS;
    if (!status || print_status(status, parser.json, with_figures) < 0) {
        cli_complain("status", status ? "out of memory" : "the server's answer can't be read");
        code = CLI_BAD_NEWS;
    }
    json_decref(status);
    return cli_finish_output("status", code);
}
