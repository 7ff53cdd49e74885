#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"

#include <stdlib.h>

static const struct cli_usage usage = {
    .name = "status",
    .help = "Tells whether the server runs, and what its processes count.\n",
    .json = true,
};

enum { DEPTH_MAX = 8, PATH_SIZE = 256 };

static void add_figures(struct cli_table *t, const char *path, json_t *value, int depth);

static void add_figure(struct cli_table *t, const char *path, json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    cli_table_add(t, span_from_cstr(path));
    cli_table_add(t, span_from_cstr(text ? text : json_string_value(value)));
    free(text);
}

/* "queue" or "smtpd.1": which process an element of a list tells of. */
static void format_element(json_t *element, size_t place, char out[static PATH_SIZE])
{
    const char *name = json_string_value(json_object_get(element, "name"));
    json_int_t index = json_integer_value(json_object_get(element, "index"));

    if (!name)
        snprintf(out, PATH_SIZE, "%zu", place);
    else if (index)
        snprintf(out, PATH_SIZE, "%s.%lld", name, (long long)index);
    else
        snprintf(out, PATH_SIZE, "%s", name);
}

static void add_members(struct cli_table *t, const char *path, json_t *object, int depth)
{
    char name[PATH_SIZE];
    const char *key;
    json_t *member;

    json_object_foreach(object, key, member)
    {
        /* These are in the path already, or would only make it longer. */
        bool plain = strcmp(key, "figures") == 0;
        if (json_object_get(object, "name") &&
            (strcmp(key, "name") == 0 || strcmp(key, "index") == 0))
            continue;
        snprintf(name, sizeof(name), "%s%s%s", path, *path && !plain ? "." : "", plain ? "" : key);
        add_figures(t, name, member, depth + 1);
    }
}

/* A line a figure, named by its path: "queue.spool.waiting". The answer is our own server's, and
 * its depth is bounded all the same. */
static void add_figures(struct cli_table *t, const char *path, json_t *value, int depth)
{
    char name[PATH_SIZE];
    size_t place;
    json_t *element;

    if (depth < DEPTH_MAX && json_is_object(value)) {
        add_members(t, path, value, depth);
    } else if (depth < DEPTH_MAX && json_is_array(value)) {
        json_array_foreach(value, place, element)
        {
            format_element(element, place, name);
            add_figures(t, name, element, depth + 1);
        }
    } else {
        add_figure(t, path, value);
    }
}

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
    add_figures(&t, "", status, 0);
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
