/* `postbuch route`: which way mail for an address would go now. The server tells; nothing is sent.
 */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"

static const struct cli_usage usage = {
    .name = "route",
    .arguments = "ADDRESS",
    .help =
        "Tells which way mail for ADDRESS would go now, and why: who it stands for, the mailbox,\n"
        "relay or route of each of these, and what the DNS says. Contacts no other mail server.\n"
        "Exits 1 when mail would be refused, returned or kept waiting.\n",
    .json = true,
};

struct view {
    const char *address;
    bool json;
    bool bad; /* it would not arrive */
};

/* ---- in words ---- */

static void put_hosts(struct span next_hop)
{
    cli_put(stdout,
            span_starts_nocase(next_hop, SPAN("host:")) ? span_from(next_hop, 5) : SPAN("its MX"));
}

static void put_way(const struct ipc_route_told *told, size_t i)
{
    static const char *const by[] = {
        [IPC_ROUTE_BY_MAILBOX] = "into a mailbox here",
        [IPC_ROUTE_BY_RELAY] = "by `relays:` ",
        [IPC_ROUTE_BY_ROUTE] = "by `routes:` ",
        [IPC_ROUTE_BY_MX] = "by what the DNS says",
    };
    const struct ipc_route_way *way = &told->ways[i];

    fputs("  ", stdout);
    cli_put(stdout, way->address);
    printf(": %s", by[way->by]);
    if (way->pattern.size) {
        cli_put(stdout, way->pattern);
        fputs(" to ", stdout);
        put_hosts(way->next_hop);
    }
    fputc('\n', stdout);
    if (way->same_as >= i) {
        cli_put_lines(stdout, "    ", way->text);
    } else {
        fputs("    as ", stdout);
        cli_put(stdout, told->ways[way->same_as].address);
        fputc('\n', stdout);
    }
}

static void put_told(const struct view *v, const struct ipc_route_told *told)
{
    const struct cli_style *style = cli_style(stdout);
    static const char *const kinds[] = {
        [IPC_ROUTE_FOREIGN] = "is not delivered here",
        [IPC_ROUTE_USER] = "is a user here",
        [IPC_ROUTE_ALIAS] = "is an alias here",
        [IPC_ROUTE_NOBODY] = "is refused",
        [IPC_ROUTE_UNSURE] = "is deferred",
        [IPC_ROUTE_BAD] = "is no address",
    };

    fputs(style->bold, stdout);
    cli_put(stdout, span_from_cstr(v->address));
    printf("%s %s", style->reset, kinds[told->kind]);
    if (told->why.size) {
        fputs(": ", stdout);
        cli_put(stdout, told->why);
    }
    fputc('\n', stdout);
    for (size_t i = 0; i < told->way_count; i++)
        put_way(told, i);
    if (told->more)
        printf("  and %u more\n", told->more);
}

/* ---- as JSON ---- */

/* What smtp says of a way, or an empty object. */
static json_t *findings(const struct ipc_route_told *told, size_t i)
{
    size_t same = told->ways[i].same_as < told->way_count ? told->ways[i].same_as : i;
    struct span text = told->ways[same].json;
    json_t *found = text.size ? json_loadb(text.data, text.size, 0, NULL) : NULL;

    return found ? found : json_object();
}

static json_t *way_json(const struct ipc_route_told *told, size_t i)
{
    static const char *const by[] = {[IPC_ROUTE_BY_MAILBOX] = "mailbox",
                                     [IPC_ROUTE_BY_RELAY] = "relay",
                                     [IPC_ROUTE_BY_ROUTE] = "route",
                                     [IPC_ROUTE_BY_MX] = "mx"};
    const struct ipc_route_way *way = &told->ways[i];
    json_t *json = findings(told, i);

    json_object_set_new(json, "address", cli_json_text(way->address));
    json_object_set_new(json, "by", json_string(by[way->by]));
    if (way->pattern.size)
        json_object_set_new(json, "pattern", cli_json_text(way->pattern));
    if (way->next_hop.size)
        json_object_set_new(json, "next_hop", cli_json_text(way->next_hop));
    return json;
}

static void print_json(const struct ipc_route_told *told)
{
    static const char *const kinds[] = {
        [IPC_ROUTE_FOREIGN] = "foreign", [IPC_ROUTE_USER] = "user",     [IPC_ROUTE_ALIAS] = "alias",
        [IPC_ROUTE_NOBODY] = "nobody",   [IPC_ROUTE_UNSURE] = "unsure", [IPC_ROUTE_BAD] = "bad",
    };
    json_t *json = json_object(), *ways = json_array();

    json_object_set_new(json, "kind", json_string(kinds[told->kind]));
    if (told->why.size)
        json_object_set_new(json, "why", cli_json_text(told->why));
    for (size_t i = 0; i < told->way_count; i++)
        json_array_append_new(ways, way_json(told, i));
    json_object_set_new(json, "ways", ways);
    if (told->more)
        json_object_set_new(json, "more", json_integer(told->more));
    cli_json_print(json, 2);
    putchar('\n');
}

/* ---- the command ---- */

/* smtp gives a status to what it found no way for; who could not be asked is no good news either.
 */
static bool is_bad(const struct ipc_route_told *told)
{
    bool bad = told->kind >= IPC_ROUTE_NOBODY;

    for (size_t i = 0; i < told->way_count && !bad; i++) {
        if (told->ways[i].by == IPC_ROUTE_BY_MAILBOX)
            continue;
        json_t *found = findings(told, i);
        bad = json_object_get(found, "status") || !json_object_get(found, "targets");
        json_decref(found);
    }
    return bad;
}

static void on_told(void *arg, const struct ipc_message *reply)
{
    struct view *v = arg;

    v->bad = is_bad(&reply->route_told);
    if (v->json)
        print_json(&reply->route_told);
    else
        put_told(v, &reply->route_told);
}

static int ask(const struct cli_server *server, struct view *v)
{
    const struct ipc_message m = {.type = IPC_ROUTE_ASK,
                                  .route_ask.address = span_from_cstr(v->address)};
    struct cli_control *control;

    if (cli_control_open("route", server->control, &control) != CLI_OK)
        return CLI_UNREACHED;
    int code = cli_control_ask(control, &m, on_told, v);
    cli_control_close(control);
    return cli_finish_output("route", code == CLI_OK && v->bad ? CLI_BAD_NEWS : code);
}

int cli_route(int argc, char **argv)
{
    struct cli_parser parser;
    struct cli_server server;
    char full[ENVELOPE_ADDRESS_MAX + 256]; /* more than is checked, for the compiler */

    if (cli_parse_all(&parser, &usage, argc, argv) < 0)
        return parser.exit_code;
    if (argc - parser.first != 1)
        return cli_wrong_usage(&usage, "give one address");
    if (cli_server_find("route", parser.config, &server) < 0)
        return CLI_UNREACHED;
    struct view view = {.address = argv[parser.first], .json = parser.json};
    if (strlen(view.address) + strlen(server.origin) + 1 > ENVELOPE_ADDRESS_MAX)
        return cli_wrong_usage(&usage, "the address is too long");
    if (!strchr(view.address, '@')) { /* as `postbuch send` completes it */
        snprintf(full, sizeof(full), "%s@%s", view.address, server.origin);
        view.address = full;
    }
    return ask(&server, &view);
}
