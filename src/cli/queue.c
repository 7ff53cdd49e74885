/* `postbuch queue`, and `mailq` by another name: what waits, and acts on it. */
#include "cli/catchup.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/queue_act.h"
#include "cli/queue_damage.h"
#include "cli/queue_print.h"
#include "cli/server.h"
#include "cli/why.h"

#include "conf/next_hop.h"
#include "mail/address.h"
#include <errno.h>

enum key {
    KEY_ID = 1,
    KEY_FROM,
    KEY_TO,
    KEY_DESTINATION,
    KEY_STATE,
    KEY_SUMMARY,
    KEY_VIA,
    KEY_YES,
    KEY_IGNORED
};

static const struct cli_option options[] = {
    {"summary", 0, NULL, "count by destination and age", KEY_SUMMARY},
    {"id", 0, "ID", "only this message", KEY_ID},
    {"from", 0, "TEXT", "only from this sender: an address, a part of one, @DOMAIN, or <>",
     KEY_FROM},
    {"to", 0, "TEXT", "only to this recipient: an address, a part of one, or @DOMAIN", KEY_TO},
    {"destination", 0, "NAME", "only to this destination", KEY_DESTINATION},
    {"state", 0, "STATE", "only these: paused, ready, active or held", KEY_STATE},
    {"via", 0, "HOP", "for reroute: smtp:HOST:PORT[,smtp:...], mx:DOMAIN, or mx", KEY_VIA},
    {"yes", 'y', NULL, "act without asking", KEY_YES},
    {NULL, 'v', NULL, NULL, KEY_IGNORED}, /* mailq's, of other mailers */
    {NULL, 'A', "X", NULL, KEY_IGNORED},
};
static const struct cli_usage usage = {
    "queue",
    "[list | show ID | damage | hold | release | retry | return | remove | reroute] [ID]",
    "Lists what waits, the oldest first, with the reason and the next attempt.\n"
    "  show ID   all that is known of a message's waiting recipients\n"
    "  damage    what the spool found damaged since the start\n"
    "  hold      keeps from being attempted; release ends that\n"
    "  retry     attempts now\n"
    "  return    sends back to the sender now, with a report\n"
    "  remove    nobody gets it, and nobody is told\n"
    "  reroute   goes by another next hop from now on, at once (--via)\n"
    "These act on all that fit an ID, --from, --to, --destination and --state together, and are\n"
    "booked with who did it. return, remove and reroute of more than one message ask before.\n"
    "An act exits 1 when nothing fits or not all was done; show, when nothing of it waits;\n"
    "damage, when there is some.\n",
    true,
    options,
    ARRAY_SIZE(options)};

enum verb {
    VERB_LIST,
    VERB_SHOW,
    VERB_DAMAGE,
    VERB_HOLD,
    VERB_RELEASE,
    VERB_RETRY,
    VERB_RETURN,
    VERB_REMOVE,
    VERB_REROUTE
};

static const char *const verbs[] = {"list",  "show",   "damage", "hold",   "release",
                                    "retry", "return", "remove", "reroute"};

struct wishes {
    enum verb verb;
    bool summary, json, yes;
    const char *config, *via;
    struct ipc_queue_filter filter;
    /* What the filter's texts lie in: */
    struct address from, to, destination;
    char way[ENVELOPE_ADDRESS_MAX];
};

/* ---- what was asked for ---- */

static int take_id(struct wishes *w, const char *text)
{
    if (!id_is_zero(&w->filter.id))
        return cli_wrong_usage(&usage, "only one queue id at a time");
    /* The zero id, which no message has, would ask for any. */
    if (id_parse(span_from_cstr(text), &w->filter.id) == 0 && !id_is_zero(&w->filter.id))
        return CLI_OK;
    return cli_wrong_usage(&usage, "%s is not a queue id", text);
}

/* As the queue has it (mail/address.h), from `at` on in `room`; "" when it is no domain. */
static struct span canonical_domain(struct span text, size_t at, struct address *room)
{
    size_t size;

    if (address_parse_domain(text, ADDRESS_ALLOW_UTF8, room->text + at, &size) != ADDRESS_OK)
        return SPAN("");
    return span_of(room->text, at + size);
}

/* A whole address, or all of a domain; what is neither stays what it is. */
static struct span canonical(struct span text, struct address *room)
{
    struct span all_of;

    if (text.data[0] != '@')
        return address_parse(text, ADDRESS_ALLOW_UTF8, room) == ADDRESS_OK ? address_text(room)
                                                                           : text;
    room->text[0] = '@';
    all_of = canonical_domain(span_from(text, 1), 1, room);
    return all_of.size ? all_of : text;
}

/* A way as an administrator gave it to --via. "" when it is none. */
static struct span canonical_way(struct span text, char room[static ENVELOPE_ADDRESS_MAX])
{
    struct buffer way = BUFFER_LIMITED(ENVELOPE_ADDRESS_MAX);
    size_t size = conf_read_next_hop(text, &way) == 0 ? way.size : 0;

    if (size)
        memcpy(room, way.data, size);
    buffer_done(&way);
    return span_of(room, size);
}

/* Most are domains; others are ways, or hosts of one, as the queue shows them. */
static struct span canonical_destination(struct span text, struct wishes *w)
{
    struct span found = canonical_domain(text, 0, &w->destination);

    if (!found.size)
        found = canonical_way(text, w->way);
    return found.size ? found : text;
}

/* What stands for everybody would widen an act to all that the other options leave: the queue takes
 * an empty text for any, and each address has an @. A shell's unset variables give these. */
static int check_text(const char *option, struct span text)
{
    if (text.size > ENVELOPE_ADDRESS_MAX)
        return cli_wrong_usage(&usage, "%s: at most %d bytes", option, ENVELOPE_ADDRESS_MAX);
    if (text.size && !span_equal(text, SPAN("@")))
        return CLI_OK;
    return cli_wrong_usage(&usage, "%s: \"%s\" names nobody%s", option, text.size ? "@" : "",
                           option[2] == 'f' ? "; the null sender is <>" : "");
}

static int check_option(int key, struct span text)
{
    switch (key) {
    case KEY_FROM:
        return check_text("--from", text);
    case KEY_TO:
        return check_text("--to", text);
    case KEY_DESTINATION:
        return check_text("--destination", text);
    case KEY_VIA:
        return check_text("--via", text);
    default:
        return CLI_OK;
    }
}

static int take_option(struct wishes *w, int key, const char *value)
{
    struct span text = span_from_cstr(value);

    if (check_option(key, text) != CLI_OK)
        return CLI_USAGE;
    switch (key) {
    case KEY_ID:
        return take_id(w, value);
    case KEY_FROM:
        w->filter.sender = canonical(text, &w->from);
        break;
    case KEY_TO:
        w->filter.recipient = canonical(text, &w->to);
        break;
    case KEY_DESTINATION:
        w->filter.destination = canonical_destination(text, w);
        break;
    case KEY_STATE:
        w->filter.states |= queue_state_by_name(value);
        if (!queue_state_by_name(value))
            return cli_wrong_usage(&usage, "there is no state %s", value);
        break;
    case KEY_VIA:
        w->via = value;
        break;
    case KEY_YES:
        w->yes = true;
        break;
    case KEY_IGNORED:
        break;
    default:
        w->summary = true;
        break;
    }
    return CLI_OK;
}

static bool is_of_all(const struct wishes *w)
{
    return !ipc_queue_filter_names_some(&w->filter) && !w->filter.states;
}

/* As the server reads it, which would refuse it only after it was asked. */
static bool is_next_hop(const char *text)
{
    struct buffer hop = BUFFER_LIMITED(ENVELOPE_ADDRESS_MAX);
    int r = conf_read_next_hop(span_from_cstr(text), &hop);

    buffer_done(&hop);
    return r == 0;
}

static int check_act(const struct wishes *w)
{
    if (w->verb == VERB_SHOW && id_is_zero(&w->filter.id))
        return cli_wrong_usage(&usage, "show needs a queue id");
    if (w->summary && w->verb != VERB_LIST)
        return cli_wrong_usage(&usage, "--summary is for the list");
    /* What the server sums up, and its damage, is of all. */
    if ((w->summary || w->verb == VERB_DAMAGE) && !is_of_all(w))
        return cli_wrong_usage(&usage, "%s is of all that waits, not of some",
                               w->summary ? "--summary" : "damage");
    /* A state alone would act on all that waits: too much for a slip of the finger. */
    if (w->verb > VERB_DAMAGE && !ipc_queue_filter_names_some(&w->filter))
        return cli_wrong_usage(&usage, "%s needs an ID, --from, --to or --destination",
                               verbs[w->verb]);
    if (w->verb == VERB_REROUTE && !w->via)
        return cli_wrong_usage(&usage, "reroute needs --via");
    if (w->verb != VERB_REROUTE && w->via)
        return cli_wrong_usage(&usage, "--via is for reroute");
    if (w->via && !is_next_hop(w->via))
        return cli_wrong_usage(
            &usage, "--via: \"%s\" is no next hop; write smtp:HOST:PORT, mx:DOMAIN, or mx", w->via);
    return CLI_OK;
}

static int take_verb(struct wishes *w, int argc, char **argv)
{
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
    return check_act(w);
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
    struct id message;    /* of the row before */
    struct why_book book; /* of what is shown in full */
    int code;
};

static const struct trace_entry *entry_of(const struct listing *l, const struct ipc_queue_row *row)
{
    return why_book_entry(&l->book, &row->id, row->index);
}

/* One array over all pages, written while they come: a million rows are never held. */
static void print_json_rows(struct listing *l, const struct ipc_queue_page *page)
{
    for (size_t i = 0; i < page->row_count; i++) {
        fputs(l->count + i ? ",\n " : "[", stdout);
        cli_json_print(l->wishes->verb == VERB_SHOW
                           ? queue_row_json_full(&page->rows[i], entry_of(l, &page->rows[i]))
                           : queue_row_json(&page->rows[i]),
                       0);
    }
}

static void print_full_rows(struct listing *l, const struct ipc_queue_page *page)
{
    for (size_t i = 0; i < page->row_count; i++) {
        const struct ipc_queue_row *row = &page->rows[i];
        queue_print_full(row, entry_of(l, row), page->now_us, !id_equal(&l->message, &row->id));
        l->message = row->id;
    }
}

/* Who reads the output has gone (head, a pager): the rest isn't asked for. */
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

static int list(struct cli_control *control, const struct wishes *w,
                const struct cli_server *server)
{
    struct listing l = {.wishes = w};
    char id[ID_TEXT + 1];

    if (w->verb == VERB_SHOW) {
        cli_catch_up("queue", control);
        why_book_load(&l.book, server->ledger, &w->filter.id);
    }
    int code = cli_control_list(control, &w->filter, on_page, &l);
    why_book_done(&l.book);
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
        puts(is_of_all(w) ? "Nothing waits." : "Nothing that waits fits.");
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

static int act(struct cli_control *control, const struct wishes *w)
{
    static const enum ipc_queue_act_kind kinds[] = {
        [VERB_HOLD] = IPC_ACT_HOLD,     [VERB_RELEASE] = IPC_ACT_RELEASE,
        [VERB_RETRY] = IPC_ACT_RETRY,   [VERB_RETURN] = IPC_ACT_RETURN,
        [VERB_REMOVE] = IPC_ACT_REMOVE, [VERB_REROUTE] = IPC_ACT_REROUTE};
    const struct queue_act_wish wish = {.act = {.act = (uint8_t)kinds[w->verb],
                                                .filter = w->filter,
                                                .index = UINT32_MAX,
                                                .next_hop = span_from_cstr(w->via)},
                                        .name = verbs[w->verb],
                                        .yes = w->yes,
                                        .json = w->json};
    return queue_act(control, &wish);
}

int cli_queue(int argc, char **argv)
{
    struct cli_control *control;
    struct cli_server server;
    struct wishes w;

    int code = parse_wishes(argc, argv, &w);
    if (code != CLI_OK)
        return code < 0 ? CLI_OK : code;
    int r = w.verb > VERB_DAMAGE ? cli_server_find_for_act("queue", w.config, &server)
                                 : cli_server_find("queue", w.config, &server);
    if (r < 0 || cli_control_open("queue", server.control, &control) != CLI_OK)
        return CLI_UNREACHED;
    if (w.verb > VERB_DAMAGE)
        code = act(control, &w);
    else if (w.verb == VERB_DAMAGE)
        code = queue_damage_print(control, w.json);
    else
        code = w.summary ? summarize(control, &w) : list(control, &w, &server);
    cli_control_close(control);
    return cli_finish_output("queue", code);
}
