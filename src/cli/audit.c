/*
 * `postbuch audit`: proves from the book that no message got lost, and compares it with the queue
 * where the server runs.
 */
#include "book/audit.h"
#include "base/clock.h"
#include "cli/catchup.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPTION_SINCE = 1, OPTION_OVERDUE };

static const struct cli_option options[] = {
    {"since", 0, "TIME", "only the weeks that reach behind it: 30d, 2026-11-21", OPTION_SINCE},
    {"overdue", 0, "AGE", "how long a next attempt may be missed before it is told (1h)",
     OPTION_OVERDUE},
};

static const struct cli_usage usage = {
    .name = "audit",
    .help =
        "Checks the book: each accepted recipient has exactly one fate, each event is where the\n"
        "chain says, nothing waits longer than planned, and the queue waits for what the book\n"
        "says. Whatever is off is named, and the exit code is then 1.\n",
    .json = true,
    .options = options,
    .option_count = ARRAY_SIZE(options),
};

enum { CATCH_UP_MS = 10000 };

struct session {
    struct audit_options options;
    struct audit_counts counts;
    struct cli_server server;
    bool json;
    json_t *findings;
    bool progress_shown;
    bool book_lags; /* too far behind to be compared with the queue */
};

/* ---- what is found ---- */

static void end_progress(struct session *s)
{
    if (s->progress_shown)
        fprintf(stderr, "\r\x1b[K");
    s->progress_shown = false;
}

static void on_progress(void *arg, const char *file, uint64_t done, uint64_t total)
{
    struct session *s = arg;

    fprintf(stderr, "\r\x1b[K%s: %llu of %llu events", file, (unsigned long long)done,
            (unsigned long long)total);
    s->progress_shown = true;
}

static void add_json_finding(struct session *s, const struct audit_finding *f, const char *id)
{
    json_t *object = json_pack("{s:s,s:s,s:s}", "kind", audit_kind_name(f->kind), "file", f->file,
                               "text", f->text);

    if (!id_is_zero(&f->id))
        json_object_set_new(object, "id", json_string(id));
    if (f->recipient_index != EVENT_NO_RECIPIENT)
        json_object_set_new(object, "recipient", json_integer(f->recipient_index));
    json_array_append_new(s->findings, object);
}

static void on_found(void *arg, const struct audit_finding *f)
{
    struct session *s = arg;
    const struct cli_style *style = cli_style(stdout);
    char id[ID_TEXT + 1];

    id_format(&f->id, id);
    if (s->json) {
        add_json_finding(s, f, id);
        return;
    }
    end_progress(s);
    printf("%s%s%s", style->red, audit_kind_name(f->kind), style->reset);
    if (f->file[0])
        printf(" %s", f->file);
    if (!id_is_zero(&f->id))
        printf(" %s", id);
    if (f->recipient_index != EVENT_NO_RECIPIENT)
        printf(" recipient %u", f->recipient_index);
    printf(": %s\n", f->text);
}

/* ---- the queue ---- */

struct listing {
    struct audit_set *set;
    int error;
};

static bool on_page(void *arg, const struct ipc_queue_page *page)
{
    struct listing *listing = arg;

    for (size_t i = 0; i < page->row_count && listing->error == 0; i++)
        listing->error = audit_add_waiting(listing->set, &page->rows[i].id, page->rows[i].index);
    return listing->error == 0;
}

/* Is the server there at all? A stopped one is no finding. */
static bool server_runs(const struct session *s)
{
    int fd;

    if (cli_control_connect(s->server.control, &fd) != 0)
        return false;
    close(fd);
    return true;
}

static int list_waiting(void *arg, struct audit_set *set)
{
    struct session *s = arg;
    struct listing listing = {.set = set};
    struct ipc_queue_filter filter = {.brief = true};
    struct cli_control *control;

    if (!server_runs(s))
        return -ENOTCONN;
    end_progress(s);
    s->book_lags = cli_wait_for_book(s->server.control, CATCH_UP_MS) == -ETIMEDOUT;
    if (s->book_lags)
        return -ETIMEDOUT; /* what it doesn't know yet would all seem to be off */
    if (cli_control_open("audit", s->server.control, &control) != CLI_OK)
        return -ENOTCONN;
    int code = cli_control_list(control, &filter, on_page, &listing);
    cli_control_close(control);
    return listing.error ? listing.error : code == CLI_OK ? 0 : -EPIPE;
}

/* ---- the result ---- */

static void print_number(const char *name, uint64_t number)
{
    printf("  %-10s %12llu\n", name, (unsigned long long)number);
}

static void print_text(const struct session *s)
{
    const struct audit_counts *c = &s->counts;
    const struct cli_style *style = cli_style(stdout);
    uint64_t sum = 0;

    printf("Accepted recipients: %llu, of %llu messages\n", (unsigned long long)c->accepted,
           (unsigned long long)c->messages);
    for (unsigned state = RECIPIENT_DELIVERED; state < RECIPIENT_STATE_COUNT; state++) {
        print_number(recipient_state_name(state), c->states[state]);
        sum += c->states[state];
    }
    print_number(recipient_state_name(RECIPIENT_WAITING), c->states[RECIPIENT_WAITING]);
    sum += c->states[RECIPIENT_WAITING];
    if (c->held)
        printf("  (of those waiting, %llu are held)\n", (unsigned long long)c->held);
    print_number("together", sum);
    printf("Checked %llu events and %llu refusals in %llu files, each in its place in the chain.\n",
           (unsigned long long)c->events, (unsigned long long)c->refusals,
           (unsigned long long)c->files);
    if (c->alarms)
        printf("%s%llu alarms are booked: damage that the spool or the log told of.%s\n",
               style->yellow, (unsigned long long)c->alarms, style->reset);
    if (c->remade)
        printf("%llu outcomes or entries have their origin only in a damaged file, set aside.\n",
               (unsigned long long)c->remade);
    if (c->queue_compared)
        printf("The queue has %llu recipients waiting.\n", (unsigned long long)c->queue_waiting);
    else if (s->book_lags)
        printf("%sThe queue was not compared: the book doesn't catch up with the log; see "
               "book.trouble "
               "in postbuch status.%s\n",
               style->red, style->reset);
    else
        printf("The queue was not compared: the server isn't running, or you may not ask it.\n");
    if (c->findings)
        printf("%s%llu things are off.%s\n", style->red, (unsigned long long)c->findings,
               style->reset);
    else
        printf("%sThe book balances.%s\n", style->green, style->reset);
}

static void print_json(struct session *s)
{
    const struct audit_counts *c = &s->counts;
    json_t *object = json_pack("{s:b,s:I}", "ok", c->findings == 0 && !s->book_lags, "accepted",
                               (json_int_t)c->accepted);

    for (unsigned state = 1; state < RECIPIENT_STATE_COUNT; state++)
        json_object_set_new(object, recipient_state_name(state),
                            json_integer((json_int_t)c->states[state]));
    json_object_set_new(object, "held", json_integer((json_int_t)c->held));
    json_object_set_new(object, "messages", json_integer((json_int_t)c->messages));
    json_object_set_new(object, "events", json_integer((json_int_t)c->events));
    json_object_set_new(object, "refusals", json_integer((json_int_t)c->refusals));
    json_object_set_new(object, "files", json_integer((json_int_t)c->files));
    json_object_set_new(object, "alarms", json_integer((json_int_t)c->alarms));
    json_object_set_new(object, "remade", json_integer((json_int_t)c->remade));
    json_object_set_new(object, "queue_compared", json_boolean(c->queue_compared));
    json_object_set_new(object, "queue_waiting",
                        c->queue_compared ? json_integer((json_int_t)c->queue_waiting)
                                          : json_null());
    json_object_set(object, "findings", s->findings);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    printf("\n");
    json_decref(object);
}

/* ---- options ---- */

static int take_option(struct session *s, int key, const char *value)
{
    int64_t time_us;

    if (clock_parse(span_from_cstr(value), s->options.now_us, &time_us) < 0)
        return cli_wrong_usage(&usage, "\"%s\" is no time", value);
    if (key == OPTION_SINCE)
        s->options.since_us = time_us;
    else
        s->options.overdue_us = s->options.now_us - time_us;
    return CLI_OK;
}

static int parse(struct session *s, int argc, char **argv, bool *out_end)
{
    struct cli_parser parser;
    int key, code = CLI_OK;

    *out_end = true;
    cli_parse_init(&parser, &usage, argc, argv);
    while (code == CLI_OK && (key = cli_parse_next(&parser)) > 0)
        code = take_option(s, key, parser.value);
    if (code != CLI_OK || key < 0)
        return code != CLI_OK ? code : parser.exit_code;
    if (parser.first < argc)
        return cli_wrong_usage(&usage, "it takes no arguments");
    if (cli_server_find("audit", parser.config, &s->server) < 0)
        return CLI_USAGE;
    s->json = parser.json;
    *out_end = false;
    return CLI_OK;
}

int cli_audit(int argc, char **argv)
{
    struct session s = {.options = {.now_us = clock_wall_us(),
                                    .overdue_us = INT64_C(3600) * 1000000,
                                    .found = on_found,
                                    .list_waiting = list_waiting}};
    bool end;
    int code = parse(&s, argc, argv, &end);

    if (end)
        return code;
    s.options.arg = &s;
    s.findings = json_array();
    if (isatty(STDERR_FILENO) && !s.json)
        s.options.progress = on_progress;
    int r = audit_run(s.server.ledger, &s.options, &s.counts);
    end_progress(&s);
    if (r < 0) {
        cli_complain("audit", "can't read the book in %s: %s", s.server.ledger, strerror(-r));
        code = CLI_UNREACHED;
    } else {
        if (s.json)
            print_json(&s);
        else
            print_text(&s);
        code = s.counts.findings || s.book_lags ? CLI_BAD_NEWS : CLI_OK;
    }
    json_decref(s.findings);
    return cli_finish_output("audit", code);
}
