/* `postbuch queue`, and `mailq` by another name: what waits, and three acts on it. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/queue_damage.h"
#include "cli/queue_print.h"
#include "cli/server.h"

#include <errno.h>

enum key { KEY_ID = 1, KEY_FROM, KEY_TO, KEY_DESTINATION, KEY_STATE, KEY_SUMMARY };

static const struct cli_option options[] = {
    {"summary", 0, NULL, "count by destination and age", KEY_SUMMARY},
    {"id", 0, "ID", "only this message", KEY_ID},
    {"from", 0, "TEXT", "only from this sender: an address, or a part of one", KEY_FROM},
    {"to", 0, "TEXT", "only to this recipient: an address, or a part of one", KEY_TO},
    {"destination", 0, "NAME", "only to this destination", KEY_DESTINATION},
    {"state", 0, "STATE", "only these: paused, ready, active or held", KEY_STATE},
};
static const struct cli_usage usage = {
    "queue",
    "[show ID | damage | hold | release | retry]",
    "Lists what waits, the oldest first, with the reason and the next attempt.\n"
    "  show ID   all that is known of a message's waiting recipients\n"
    "  damage    what the spool found damaged since the start\n"
    "  hold, release, retry\n"
    "            keep from being attempted; end that; attempt now: with --id or --destination\n",
    true,
    options,
    ARRAY_SIZE(options)};

enum verb { VERB_LIST, VERB_SHOW, VERB_DAMAGE, VERB_HOLD, VERB_RELEASE, VERB_RETRY };

struct wishes {
    enum verb verb;
    bool summary, json;
    const char *config;
    struct ipc_queue_filter filter;
};

/* ---- what was asked for ---- */

static int take_id(struct wishes *w, const char *text)
{
    /* The zero id, which no message has, would ask for any. */
    if (id_parse(span_from_cstr(text), &w->filter.id) == 0 && !id_is_zero(&w->filter.id))
        return CLI_OK;
    return cli_wrong_usage(&usage, "%s is not a queue id", text);
}

static int take_option(struct wishes *w, int key, const char *value)
{
    struct span text = span_from_cstr(value);

    switch (key) {
    case KEY_ID:
        return take_id(w, value);
    case KEY_FROM:
        w->filter.sender = text;
        break;
    case KEY_TO:
        w->filter.recipient = text;
        break;
    case KEY_DESTINATION:
        w->filter.destination = text;
        break;
    case KEY_STATE:
        w->filter.states |= queue_state_by_name(value);
        if (!queue_state_by_name(value))
            return cli_wrong_usage(&usage, "there is no state %s", value);
        break;
    default:
        w->summary = true;
        break;
    }
    return CLI_OK;
}

static int take_verb(struct wishes *w, int argc, char **argv)
{
    static const char *const verbs[] = {"list", "show", "damage", "hold", "release", "retry"};
    size_t verb = 0;

    if (argc > 0)
        while (verb < ARRAY_SIZE(verbs) && strcmp(argv[0], verbs[verb]) != 0)
            verb++;
    if (verb == ARRAY_SIZE(verbs))
        return cli_wrong_usage(&usage, "it can't %s", argv[0]);
    w->verb = (enum verb)verb;
    if (argc > 2 || (argc == 2 && (w->verb == VERB_LIST || w->verb == VERB_DAMAGE)))
        return cli_wrong_usage(&usage, "too many arguments");
    if (argc == 2 && take_id(w, argv[1]) != CLI_OK)
        return CLI_USAGE;
    bool has_id = !id_is_zero(&w->filter.id);
    if (w->verb == VERB_SHOW && !has_id)
        return cli_wrong_usage(&usage, "show needs a queue id");
    if (w->verb > VERB_DAMAGE && !has_id && !w->filter.destination.size)
        return cli_wrong_usage(&usage, "%s needs --id or --destination", argv[0]);
    if (w->verb > VERB_DAMAGE && (w->filter.sender.size || w->filter.recipient.size))
        return cli_wrong_usage(&usage, "%s doesn't know --from and --to", argv[0]);
    return CLI_OK;
}

static int parse_wishes(int argc, char **argv, struct wishes *w)
{
    struct cli_parser p;
    int key, code;

    *w = (struct wishes){0};
    cli_parse_init(&p, &usage, argc, argv);
    while ((key = cli_parse_next(&p)) > 0)
        if ((code = take_option(w, key, p.value)) != CLI_OK)
            return code;
    if (key < 0)
        return p.exit_code ? p.exit_code : -1;
    w->config = p.config;
    w->json = p.json;
    return take_verb(w, argc - p.first, argv + p.first);
}

/* ---- listing ---- */

struct listing {
    const struct wishes *wishes;
    size_t count;
    struct id message; /* of the row before */
    int code;
};

static void print_json_rows(struct listing *l, const struct ipc_queue_page *page)
{
    for (size_t i = 0; i < page->row_count; i++) {
        fputs(l->count + i ? ",\n " : "[", stdout);
        cli_json_print(queue_row_json(&page->rows[i]), 0);
    }
}

static void print_full_rows(struct listing *l, const struct ipc_queue_page *page)
{
    for (size_t i = 0; i < page->row_count; i++) {
        queue_print_full(&page->rows[i], page->now_us, !id_equal(&l->message, &page->rows[i].id));
        l->message = page->rows[i].id;
    }
}

static bool on_page(void *arg, const struct ipc_queue_page *page)
{
    struct listing *l = arg;

    if (l->wishes->json)
        print_json_rows(l, page);
    else if (l->wishes->verb == VERB_SHOW)
        print_full_rows(l, page);
    else if (page->row_count && queue_print_page(page, l->count == 0) < 0)
        l->code = CLI_BAD_NEWS;
    l->count += page->row_count;
    return l->code == CLI_OK && !ferror(stdout);
}

static int list(struct cli_control *control, const struct wishes *w)
{
    struct listing l = {.wishes = w};
    char id[ID_TEXT + 1];

    int code = cli_control_list(control, &w->filter, on_page, &l);
    if (code != CLI_OK)
        return code;
    if (w->json)
        puts(l.count ? "]" : "[]");
    if (w->verb == VERB_SHOW && l.count == 0) {
        id_format(&w->filter.id, id);
        cli_complain("queue", "nothing of %s waits; postbuch trace %s tells its fate", id, id);
        return CLI_BAD_NEWS;
    }
    if (l.count == 0 && !w->json)
        puts("Nothing waits.");
    if (l.code == CLI_OK && w->verb == VERB_LIST && !w->json)
        return queue_damage_hint(control);
    return l.code;
}

struct summing {
    const struct wishes *wishes;
    int code;
};

static void on_summary(void *arg, const struct ipc_message *reply)
{
    struct summing *s = arg;

    if (reply->queue_summary.error) {
        cli_complain("queue", "the server could not count what waits: %s",
                     strerror(-reply->queue_summary.error));
        s->code = CLI_BAD_NEWS;
    } else if (s->wishes->json) {
        cli_json_print(queue_summary_json(&reply->queue_summary), 2);
        putchar('\n');
    } else {
        queue_print_summary(&reply->queue_summary);
    }
}

static int summarize(struct cli_control *control, struct wishes *w)
{
    const struct ipc_message ask = {.type = IPC_QUEUE_SUMMARY_ASK};

    struct summing s = {.wishes = w};
    int code = cli_control_ask(control, &ask, on_summary, &s);

    return code == CLI_OK ? s.code : code;
}

/* ---- acts ---- */

static void on_acted(void *arg, const struct ipc_message *reply)
{
    const struct ipc_queue_acted *acted = &reply->queue_acted;
    int *code = arg;

    if (acted->error == 0) {
        printf("%u recipient%s\n", acted->count, acted->count == 1 ? "" : "s");
        return;
    }
    *code = CLI_BAD_NEWS;
    if (acted->text.size)
        cli_complain("queue", "%.*s", SPAN_ARG(acted->text));
    else if (acted->error == -ENOENT)
        cli_complain("queue", "nothing that waits fits");
    else
        cli_complain("queue", "%s", strerror(-acted->error));
}

static int act(struct cli_control *control, const struct wishes *w)
{
    static const enum ipc_queue_act_kind kinds[] = {
        [VERB_HOLD] = IPC_ACT_HOLD, [VERB_RELEASE] = IPC_ACT_RELEASE, [VERB_RETRY] = IPC_ACT_RETRY};
    const struct ipc_message ask = {.type = IPC_QUEUE_ACT,
                                    .queue_act = {.act = (uint8_t)kinds[w->verb],
                                                  .id = w->filter.id,
                                                  .index = UINT32_MAX,
                                                  .destination = w->filter.destination}};
    int bad_news = CLI_OK;
    int code = cli_control_ask(control, &ask, on_acted, &bad_news);

    return code == CLI_OK ? bad_news : code;
}

int cli_queue(int argc, char **argv)
{
    struct cli_control *control;
    struct cli_server server;
    struct wishes w;

    int code = parse_wishes(argc, argv, &w);
    if (code != CLI_OK)
        return code < 0 ? CLI_OK : code;
    if (cli_server_find("queue", w.config, &server) < 0 ||
        cli_control_open("queue", server.control, &control) != CLI_OK)
        return CLI_UNREACHED;
    if (w.verb > VERB_DAMAGE)
        code = act(control, &w);
    else if (w.verb == VERB_DAMAGE)
        code = queue_damage_print(control, w.json);
    else
        code = w.summary ? summarize(control, &w) : list(control, &w);
    cli_control_close(control);
    return cli_finish_output("queue", code);
}
