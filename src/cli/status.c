#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"

static const struct cli_usage usage = {
    .name = "status",
    .arguments = "",
    .help = "Tells whether the server runs, and what its processes count.\n",
    .json = true,
};

/* A figure beside its name; objects in it are shown by their path: "spool.lanes". Nesting is ours,
 * and bounded. */
static void add_figures(struct cli_table *t, const char *path, json_t *value, int depth)
{
    char name[256];
    const char *key;
    json_t *member;

    if (!json_is_object(value) || depth == 0) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        cli_table_add(t, span_from_cstr(path));
        cli_table_add(t, span_from_cstr(json_is_string(value) ? json_string_value(value)
                                        : text                ? text
                                                              : ""));
        free(text);
        return;
    }
    json_object_foreach(value, key, member)
    {
        snprintf(name, sizeof(name), "%s%s%s", path, *path ? "." : "", key);
        add_figures(t, name, member, depth - 1);
    }
}

static void on_status(void *arg, const struct ipc_message *reply)
{
    json_t **out = arg;

    *out = json_loadb(reply->status.json.data, reply->status.json.size, 0, NULL);
}

static int print_status(json_t *status, bool as_json)
{
    static const struct cli_column columns[] = {{"figure", false}, {"value", false}};
    struct cli_table t;

    if (as_json) {
        cli_json_print(json_incref(status), 2);
        putchar('\n');
        return 0;
    }
    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    add_figures(&t, "", status, 4);
    int result = cli_table_print(&t, stdout);
    cli_table_done(&t);
    return result;
}

int cli_status(int argc, char **argv)
{
    const struct ipc_message ask = {.type = IPC_STATUS_ASK};
    struct cli_control *control;
    struct cli_server server;
    struct cli_parser parser;
    json_t *status = NULL;

    if (cli_parse_all(&parser, &usage, argc, argv) < 0)
        return parser.exit_code;
    if (cli_server_find("status", parser.config, &server) < 0 ||
        cli_control_open("status", server.control, &control) != CLI_OK)
        return CLI_UNREACHED;
    int code = cli_control_ask(control, &ask, on_status, &status);
    cli_control_close(control);
    if (code != CLI_OK)
        return code;
    if (!status || print_status(status, parser.json) < 0) {
        cli_complain("status", "the server's answer can't be read");
        code = CLI_BAD_NEWS;
    }
    json_decref(status);
    return cli_finish_output("status", code);
}
