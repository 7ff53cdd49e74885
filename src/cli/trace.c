/*
 * `postbuch trace`: what became of a message. Reads the ledger itself, so it also works while the
 * server is down.
 */
#include "book/trace.h"
#include "base/clock.h"
#include "book/ledger.h"
#include "cli/catchup.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"
#include "cli/trace_why.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPTION_SINCE = 1, OPTION_STATE, OPTION_LIMIT, OPTION_FOLLOW };

static const struct cli_option options[] = {
    {"since", 0, "TIME", "only what was accepted since: 2h, 3d, 2026-11-21, 2026-11-21T18:00:00Z",
     OPTION_SINCE},
    {"state", 0, "STATE",
     "only recipients that are waiting, delivered, relayed, expanded, returned, discarded, "
     "closed or lost",
     OPTION_STATE},
    {"limit", 0, "COUNT", "at most so many messages, the newest (20)", OPTION_LIMIT},
    {"follow", 'f', NULL, "go on, and tell what happens as it happens", OPTION_FOLLOW},
};

static const struct cli_usage usage = {
    .name = "trace",
    .arguments = "[WHAT…]",
    .help =
        "Tells the fate of messages, and for each recipient who is responsible now.\n"
        "WHAT is the address of a sender (<>: of reports) or recipient (its name alone is\n"
        "completed as `postbuch send` does), a Message-ID, a queue id, the id that the next\n"
        "station gave it, a session id, or the reference of a refusal.\n"
        "Without it, --since or --state must say what is meant. Exits 1 when nothing is found, 75\n"
        "when the book can't be read.\n",
    .json = true,
    .options = options,
    .option_count = ARRAY_SIZE(options),
};

enum {
    LIMIT_DEFAULT = 20,
    LIMIT_MAX = 10000,
    ADDRESS_ROOM = ENVELOPE_ADDRESS_MAX + 1,
    CONNECT_MS = 2000, /* to a server that takes nobody now */
    FOLLOW_PAUSE_US = 500000,
    FOLLOW_PAUSES = 4,       /* times as long as a look takes */
    FOLLOW_MESSAGES = 1000,  /* at least so many are compared at each look … */
    FOLLOW_BYTES = 16 << 20, /* … if they take no more: of one with many recipients all are told */
};

struct wishes {
    struct trace_query query;
    bool json;
    bool follow;
    struct cli_control *control; /* the server, when it answers us; else NULL */
    bool is_behind;              /* but its book hasn't folded all of the log */
    char **what;
    int what_count; /* at least one: "" when none was given */
    struct cli_server server;
};

/* ---- options ---- */

static int take_option(struct wishes *w, int key, const char *value)
{
    struct span text = span_from_cstr(value);
    uint64_t limit;

    switch (key) {
    case OPTION_SINCE:
        if (clock_parse(text, clock_wall_us(), &w->query.since_us) < 0)
            return cli_wrong_usage(&usage, "\"%s\" is no time", value);
        return CLI_OK;
    case OPTION_STATE:
        w->query.state = recipient_state_parse(text);
        return w->query.state ? CLI_OK : cli_wrong_usage(&usage, "\"%s\" is no state", value);
    case OPTION_LIMIT:
        if (span_to_u64(text, LIMIT_MAX, &limit) < 0 || limit == 0)
            return cli_wrong_usage(&usage, "the limit must be between 1 and %d", LIMIT_MAX);
        w->query.limit = limit;
        return CLI_OK;
    default:
        w->follow = true;
        return CLI_OK;
    }
}

/* An empty text would ask for everybody's messages: an unset variable of a shell's. */
static int check_what(const struct wishes *w)
{
    if (w->what_count == 0 && !w->query.since_us && !w->query.state)
        return cli_wrong_usage(&usage, "say what to look for");
    for (int i = 0; i < w->what_count; i++)
        if (w->what[i][0] == '\0')
            return cli_wrong_usage(&usage, "what to look for is empty");
    return CLI_OK;
}

/* CLI_OK, or the exit code with *out_end set. */
static int parse(int argc, char **argv, struct wishes *w, bool *out_end)
{
    static char *nothing[] = {(char *)""};
    struct cli_parser parser;
    int key, code = CLI_OK;

    *out_end = true;
    cli_parse_init(&parser, &usage, argc, argv);
    while (code == CLI_OK && (key = cli_parse_next(&parser)) > 0)
        code = take_option(w, key, parser.value);
    if (code != CLI_OK || key < 0)
        return code != CLI_OK ? code : parser.exit_code;
    w->json = parser.json;
    w->what = argv + parser.first;
    w->what_count = argc - parser.first;
    if (check_what(w) != CLI_OK)
        return CLI_USAGE;
    if (w->what_count == 0) {
        w->what = nothing;
        w->what_count = 1;
    }
    if (cli_server_find("trace", parser.config, &w->server) < 0)
        return CLI_UNREACHED;
    *out_end = false;
    return CLI_OK;
}

/* ---- the server, when there is one ---- */

static void leave_server(struct wishes *w)
{
    cli_control_close(w->control);
    w->control = NULL;
}

/* False: what the queue has and the book says can't be compared. */
static bool catch_up(struct wishes *w)
{
    int r = cli_catch_up("trace", w->control);

    if (r < 0 && r != -ETIMEDOUT)
        leave_server(w);
    w->is_behind = r == -ETIMEDOUT;
    return r == 0;
}

/* The book is read without one as well. */
static void find_server(struct wishes *w)
{
    int r = cli_control_try_within("trace", w->server.control, CONNECT_MS, &w->control);

    if (r == -ETIMEDOUT)
        cli_complain("trace",
                     "the server takes no connection, so what was booked last may be missing");
    if (r == 0)
        catch_up(w);
}

/* ---- one look ---- */

/* A name alone may be one that people here are written to by: "bob". Not what is an id. */
static bool complete(const struct wishes *w, const char *what, char out[static ADDRESS_ROOM])
{
    struct span text = span_from_cstr(what);
    struct id id;

    if (!*what || *what == '<' || strchr(what, '@') || id_parse(text, &id) == 0 ||
        !*w->server.origin)
        return false;
    int size = snprintf(out, ADDRESS_ROOM, "%s@%s", what, w->server.origin);
    return size > 0 && size < ADDRESS_ROOM;
}

static int look_for(const struct wishes *w, const char *what, struct trace_result *out)
{
    struct trace_query query = w->query;

    query.what = span_from_cstr(what);
    int r = trace_run(w->server.ledger, &query, out);
    if (r == 0)
        return CLI_OK;
    cli_complain("trace", "can't read the book in %s: %s", w->server.ledger, ledger_why(r));
    trace_result_done(out);
    return CLI_UNREACHED;
}

static bool is_empty(const struct trace_result *result)
{
    return result->message_count + result->refusal_count == 0;
}

/* As it stands first: the next station may have given it as an id. */
static int look(const struct wishes *w, const char *what, struct trace_result *out)
{
    char full[ADDRESS_ROOM];
    int code = look_for(w, what, out);

    if (code != CLI_OK || !is_empty(out) || !complete(w, what, full))
        return code;
    trace_result_done(out);
    return look_for(w, full, out);
}

/* The newest of all that was found; borrowed from it. */
static struct trace_result newest_of(const struct trace_result *all, size_t limit)
{
    struct trace_result newest = *all;
    size_t messages = all->message_count > limit ? all->message_count - limit : 0;
    size_t refusals = all->refusal_count > limit ? all->refusal_count - limit : 0;

    newest.messages += messages;
    newest.message_count -= messages;
    newest.refusals += refusals;
    newest.refusal_count -= refusals;
    newest.more = all->more || messages || refusals;
    return newest;
}

static void ask_queue(struct wishes *w, const struct trace_result *all, size_t limit,
                      struct trace_reasons *reasons)
{
    struct trace_result newest = newest_of(all, limit);

    if (w->control && !w->json && trace_why_not_yet(w->control, &newest, reasons) == CLI_UNREACHED)
        leave_server(w); /* once is told enough */
}

/* What ends between the look at the book and the question to the queue waits by the one and isn't
 * in the other: then both are asked once more. The reasons are of the newest up to `limit`. */
static int look_with_reasons(struct wishes *w, const char *what, size_t limit,
                             struct trace_result *out, struct trace_reasons *reasons)
{
    int code = look(w, what, out);

    if (code != CLI_OK)
        return code;
    ask_queue(w, out, limit, reasons);
    if (!reasons->missing_count || !w->control || w->is_behind || !catch_up(w))
        return CLI_OK;
    trace_result_done(out);
    code = look(w, what, out);
    if (code == CLI_OK)
        ask_queue(w, out, limit, reasons);
    return code;
}

static void complain_unknown(const struct wishes *w, const char *what)
{
    char full[ADDRESS_ROOM];

    if (complete(w, what, full))
        cli_complain("trace", "nothing is known of %s, nor of %s", what, full);
    else
        cli_complain("trace", "nothing is known of %s", *what ? what : "such messages");
}

static void warn_skipped(const struct trace_result *result)
{
    struct span rest = buffer_span(&result->skipped);
    ptrdiff_t end;

    for (; (end = span_find(rest, '\n')) >= 0; rest = span_from(rest, (size_t)end + 1))
        cli_complain("trace", "a file of the book was left out: " SPAN_FMT,
                     SPAN_ARG(span_first(rest, (size_t)end)));
    if (result->more)
        cli_complain("trace", "there is more; see --limit and --since");
}

/* `reasons`: NULL, or what the server adds. */
static int show(const struct wishes *w, const struct trace_result *result,
                const struct trace_reasons *reasons)
{
    const struct cli_style *s = cli_style(stdout);
    struct trace_style style = {s->bold, s->dim, s->green, s->red, s->reset};
    struct buffer out = BUFFER_INIT;
    int r = w->json ? trace_json(result, &out) : trace_text(result, clock_wall_us(), &style, &out);

    if (r == 0 && reasons)
        r = buffer_append_span(&out, buffer_span(&reasons->text));
    if (r == 0 && out.size)
        fwrite(out.data, 1, out.size, stdout);
    else if (r < 0)
        cli_complain("trace", "%s", strerror(-r));
    buffer_done(&out);
    return r == 0 ? CLI_OK : CLI_BAD_NEWS;
}

/* Nothing found is bad news for a script (exit code 1), not an error. */
static int look_and_show(struct wishes *w, const char *what)
{
    struct trace_reasons reasons = {.text = BUFFER_INIT};
    struct trace_result result;
    int code = look_with_reasons(w, what, w->query.limit, &result, &reasons);

    if (code == CLI_OK) {
        warn_skipped(&result);
        if (!is_empty(&result))
            code = show(w, &result, &reasons);
        else {
            complain_unknown(w, what);
            code = CLI_BAD_NEWS;
        }
        trace_result_done(&result);
    }
    buffer_done(&reasons.text);
    return code;
}

/* ---- following ---- */

/* How many events of an entry were told already: they are only ever added. */
static size_t told_before(const struct trace_result *before, const struct id *id, uint32_t index)
{
    for (size_t i = 0; i < before->message_count; i++) {
        const struct trace_message *m = &before->messages[i];
        if (!id_equal(&m->id, id))
            continue;
        const struct trace_entry *e = trace_entry_at(m, index);
        return e ? e->event_count : 0;
    }
    return 0;
}

/* `known`: only of entries that were told before. */
static void show_news(const struct wishes *w, const struct trace_result *before,
                      const struct trace_message *m, bool known)
{
    struct buffer out = BUFFER_INIT;
    size_t news = 0;

    for (size_t k = 0; k < m->entry_count; k++) {
        const struct trace_entry *e = &m->entries[k];
        size_t told = told_before(before, &m->id, e->index);
        for (size_t i = told; (told || !known) && i < e->event_count; i++, news++)
            trace_text_event(m, e, &e->events[i], &out);
    }
    if (news && w->json) {
        struct trace_result one = {.messages = (struct trace_message *)m, .message_count = 1};
        buffer_clear(&out);
        trace_json(&one, &out);
    }
    if (news)
        fwrite(out.data, 1, out.size, stdout);
    buffer_done(&out);
}

/* Does it lack an entry that was told? Of a state that was asked for its end is one: then it isn't
 * found any more. */
static bool lacks_some(const struct trace_result *now, const struct trace_message *told)
{
    for (size_t k = 0; k < told->entry_count; k++)
        if (told_before(now, &told->id, told->entries[k].index) == 0)
            return true;
    return false;
}

/* What became of those that have left the state. */
static void show_ends(const struct wishes *w, const struct trace_result *before,
                      const struct trace_result *now)
{
    struct wishes by_id = *w;
    char id[ID_TEXT + 1];

    by_id.query = (struct trace_query){.limit = 1};
    for (size_t i = 0; w->query.state && i < before->message_count; i++) {
        struct trace_result one;
        if (!lacks_some(now, &before->messages[i]))
            continue;
        id_format(&before->messages[i].id, id);
        if (look(&by_id, id, &one) != CLI_OK)
            return;
        if (one.message_count)
            show_news(w, before, &one.messages[0], true);
        trace_result_done(&one);
    }
}

/* A refusal is told once, as a whole: what is like it later is booked as another with its own
 * time. */
static bool was_refused_before(const struct trace_result *before, const struct trace_refusal *r)
{
    for (size_t i = 0; i < before->refusal_count; i++)
        if (id_equal(&before->refusals[i].reference, &r->reference) &&
            before->refusals[i].time_us == r->time_us)
            return true;
    return false;
}

static void show_refusal(const struct wishes *w, struct trace_refusal *refusal)
{
    struct trace_result one = {.refusals = refusal, .refusal_count = 1};

    show(w, &one, NULL);
}

/* Older than all that was looked at: it came in sight only because others left the state. */
static bool was_out_of_sight(const struct trace_result *before, const struct trace_message *m)
{
    return before->more && before->message_count && id_compare(&m->id, &before->messages[0].id) < 0;
}

/* Whether all that is new may have been more than one look shows. */
static bool may_lack_news(const struct trace_result *before, const struct trace_result *now,
                          size_t limit)
{
    size_t n = before->message_count, refused = before->refusal_count;

    if (now->more_messages &&
        (n == 0 || id_compare(&now->messages[0].id, &before->messages[n - 1].id) > 0))
        return true;
    return now->refusal_count == limit && now->more &&
           (refused == 0 || now->refusals[0].time_us > before->refusals[refused - 1].time_us);
}

static void show_all_news(struct wishes *w, const struct trace_result *before,
                          const struct trace_result *now)
{
    if (may_lack_news(before, now, w->query.limit))
        cli_complain("trace", "more came than is looked at: some of it isn't told");
    show_ends(w, before, now);
    for (size_t i = 0; i < now->message_count; i++)
        if (!was_out_of_sight(before, &now->messages[i]))
            show_news(w, before, &now->messages[i], false);
    for (size_t i = 0; i < now->refusal_count; i++)
        if (!was_refused_before(before, &now->refusals[i]))
            show_refusal(w, &now->refusals[i]);
}

/* To begin with: the newest, as without --follow. */
static int show_newest(struct wishes *w, const char *what, size_t limit,
                       struct trace_result *out_all)
{
    struct trace_reasons reasons = {.text = BUFFER_INIT};
    int code = look_with_reasons(w, what, limit, out_all, &reasons);

    if (code == CLI_OK) {
        struct trace_result newest = newest_of(out_all, limit);
        warn_skipped(&newest);
        code = show(w, &newest, &reasons);
    }
    buffer_done(&reasons.text);
    return code;
}

/* A look at very many takes its time: it shall be a part of a processor's only. */
static void pause_after(int64_t look_us)
{
    int64_t pause_us = FOLLOW_PAUSES * look_us;

    usleep((useconds_t)(pause_us > FOLLOW_PAUSE_US ? pause_us : FOLLOW_PAUSE_US));
}

/* Until the user ends it, or nobody reads what it tells. Looks again and tells what is more than
 * before, of more messages than the limit, which is for the first word. The book is asked, not the
 * server: it works without one. */
static int follow(struct wishes *w, const char *what)
{
    struct trace_result before = {0}, now;
    size_t limit = w->query.limit;

    if (w->query.limit < FOLLOW_MESSAGES)
        w->query.limit = FOLLOW_MESSAGES;
    w->query.bytes = FOLLOW_BYTES;
    int64_t began_us = clock_monotonic_us();
    int code = show_newest(w, what, limit, &before);
    leave_server(w);
    while (code == CLI_OK && fflush(stdout) == 0) {
        pause_after(clock_monotonic_us() - began_us);
        began_us = clock_monotonic_us();
        code = look(w, what, &now);
        if (code != CLI_OK)
            break;
        show_all_news(w, &before, &now);
        trace_result_done(&before);
        before = now;
    }
    trace_result_done(&before);
    return code;
}

int cli_trace(int argc, char **argv)
{
    struct wishes w = {.query.limit = LIMIT_DEFAULT};
    bool end;
    int code = parse(argc, argv, &w, &end);

    if (end)
        return code;
    if (w.follow && w.what_count > 1)
        return cli_wrong_usage(&usage, "only one thing can be followed at a time");
    find_server(&w);
    if (w.follow)
        code = follow(&w, w.what[0]);
    for (int i = 0; !w.follow && i < w.what_count; i++) {
        int one = look_and_show(&w, w.what[i]);
        code = one > code ? one : code;
    }
    leave_server(&w);
    return cli_finish_output("trace", code);
}
