/*
 * `postbuch audit`: proves from the book that no message got lost, and compares it with the queue
 * where the server runs.
 */
#include "base/clock.h"
#include "cli/audit_acknowledge.h"
#include "cli/audit_checkpoint.h"
#include "cli/audit_print.h"
#include "cli/audit_spool.h"
#include "cli/catchup.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/server.h"

#include <errno.h>
#include <unistd.h>

enum {
    OPTION_SINCE = 1,
    OPTION_OVERDUE,
    OPTION_ALARMS,
    OPTION_QUICK,
    OPTION_CHECKPOINT,
    OPTION_KEY,
    OPTION_VERIFY,
    OPTION_PUBLIC_KEY,
    OPTION_ACKNOWLEDGE,
    OPTION_REASON,
    OPTION_YES,
    OPTION_ACKNOWLEDGED,
};

static const struct cli_option options[] = {
    {"since", 0, "TIME", "only the weeks that reach behind it: 30d, 2026-11-21", OPTION_SINCE},
    {"overdue", 0, "AGE", "how long a next attempt may be missed before it is told (1h)",
     OPTION_OVERDUE},
    {"alarms", 0, NULL, "tell the alarms that are booked, too", OPTION_ALARMS},
    {"quick", 0, NULL, "of a stopped server: only list what waits, don't read it", OPTION_QUICK},
    {"acknowledge", 0, NULL, "book that these were dealt with: they are not off any more",
     OPTION_ACKNOWLEDGE},
    {"reason", 0, "TEXT", "what was done about them; booked with your user id", OPTION_REASON},
    {"yes", 'y', NULL, "acknowledge all without asking", OPTION_YES},
    {"acknowledged", 0, NULL, "tell what was acknowledged, too", OPTION_ACKNOWLEDGED},
    {"checkpoint", 0, "FILE", "write the ends of the chains into a new file, to be kept elsewhere",
     OPTION_CHECKPOINT},
    {"key", 0, "FILE", "sign it with this Ed25519 key (PEM)", OPTION_KEY},
    {"verify-checkpoint", 0, "FILE", "find these ends again in the chains of today", OPTION_VERIFY},
    {"public-key", 0, "FILE", "who must have signed it (PEM)", OPTION_PUBLIC_KEY},
};

static const struct cli_usage usage = {
    .name = "audit",
    .help =
        "Checks the book: each accepted recipient has exactly one fate, each event is where the\n"
        "chain says, nothing waits longer than planned, and the queue waits for what the book\n"
        "says. Whatever is off is named, and the exit code is then 1; it is 75 when the book\n"
        "can't be read.\n"
        "\n"
        "What can't be mended, damage that was booked and recipients that the queue lost, has an\n"
        "id in brackets. When it was dealt with:\n"
        "  postbuch audit --acknowledge ID… --reason TEXT\n"
        "with such ids or queue ids, \"all\", or \"-\": a line each from standard input.\n",
    .arguments = "[ID…]",
    .json = true,
    .options = options,
    .option_count = ARRAY_SIZE(options),
};

enum { CATCH_UP_MS = 10000 };

struct session {
    struct audit_print print; /* first: it is the argument of the audit's callbacks */
    struct audit_options options;
    struct audit_counts counts;
    struct cli_server server;
    struct audit_checkpoint checkpoint;
    struct audit_acknowledge acknowledge;
    bool quick;
    bool looked; /* at the running queue, once */
    int in_vain; /* -errno: the server or its book was waited for, and isn't once more */
};

/* ---- a running queue ---- */

/* Up to ten seconds: a terminal shows for what. Returns what cli_wait_for_book() does. */
static int catch_up(struct session *s, struct cli_control *control)
{
    if (s->options.progress)
        audit_print_waiting(&s->print, "the book");
    int r = cli_wait_for_book(control, CATCH_UP_MS);
    audit_print_end_progress(&s->print);
    return r;
}

struct listing {
    struct audit_queue *queue;
    int64_t late_us; /* what should have gone on before is late */
    struct id told;  /* the damaged message that was told last */
    bool again;      /* all of them were, by the look before */
    int error;
};

/* What waits for its turn, an outcome or its report has no time: behind a destination's probe, and
 * until the backlog of one that is back has gone, that is long after the book's next attempt.
 * Whether it hangs the queue knows, which has watched it for a while. */
static bool is_planned(const struct listing *l, const struct ipc_queue_row *row)
{
    return row->next_attempt_us ? row->next_attempt_us > l->late_us : !row->overdue;
}

static void take_row(struct listing *l, const struct ipc_queue_row *row)
{
    struct audit_waiting item = {
        .id = row->id, .is_planned = is_planned(l, row), .index = row->index};

    l->error = audit_add_waiting(&l->queue->waiting, &item);
    if (row->damaged && !l->again && !id_equal(&l->told, &row->id))
        audit_tell_damage(l->queue, AUDIT_DAMAGE, &row->id, "spool",
                          "its bytes are damaged on the disk: it was set aside");
    if (row->damaged)
        l->told = row->id;
}

static bool on_page(void *arg, const struct ipc_queue_page *page)
{
    struct listing *l = arg;

    for (size_t i = 0; i < page->row_count && l->error == 0; i++)
        take_row(l, &page->rows[i]);
    return l->error == 0;
}

/* What it doesn't know yet would all seem to be off. */
static int tell_behind(struct session *s)
{
    s->print.not_compared = "the book doesn't catch up with the log, so what it lacks may only not "
                            "be booked yet; see the line Book of postbuch status";
    s->print.is_bad = true;
    return -ETIMEDOUT;
}

/* The book first catches up with the log, or each message of the last second would look lost: once
 * more than at the beginning (wait_for_book()), since mail goes on meanwhile. */
static int ask_server(struct session *s, struct cli_control *control, struct audit_queue *out)
{
    struct listing listing = {
        .queue = out, .again = s->looked, .late_us = s->options.now_us - s->options.overdue_us};
    struct ipc_queue_filter filter = {.brief = true};

    s->looked = true;
    if (catch_up(s, control) == -ETIMEDOUT)
        return tell_behind(s);
    int code = cli_control_list(control, &filter, on_page, &listing);
    /* Others may just not ask; but whoever was told something may. */
    if (code != CLI_OK && (geteuid() == 0 || code == CLI_BAD_NEWS || out->waiting.count))
        s->print.is_bad = true;
    return listing.error ? listing.error : code == CLI_OK ? 0 : -EPIPE;
}

/* ---- a stopped one ---- */

static void on_spool_progress(void *arg, uint64_t done, uint64_t total)
{
    audit_print_progress(arg, "reading what waits", done, total);
}

static int read_spool(struct session *s, struct audit_queue *out)
{
    struct cli_audit_spool look = {.spool = s->server.spool,
                                   .ledger = s->server.ledger,
                                   .quick = s->quick,
                                   .arg = &s->print,
                                   .progress = s->options.progress ? on_spool_progress : NULL};
    struct spool_obstacle obstacle = {""};
    int r = cli_audit_spool(&look, out, &obstacle);

    s->print.is_bad = false;
    if (r == -EBUSY) {
        out->is_live = true; /* somebody has the spool */
        s->print.not_compared = "a server is just starting or ending, or doesn't answer";
    } else if (r == -ENOENT && access(s->server.spool, F_OK) < 0) {
        return 0; /* the next start will find nothing to wait, whatever the book says */
    } else if (r == -EACCES || r == -EPERM) {
        s->print.not_compared = "no server runs, and you may not read the spool";
    } else if (r < 0) {
        s->print.not_compared =
            r == -EUCLEAN ? "the book's main file is damaged" : "the spool can't be read";
        s->print.is_bad = true;
        cli_complain("audit", "%s%s%s: %s", r == -EROFS ? s->server.ledger : s->server.spool,
                     obstacle.file[0] ? "/" : "", obstacle.file, ledger_why(r));
    }
    return r;
}

static int tell_unreached(struct session *s, int error)
{
    if (error == -EACCES || error == -EPERM) {
        s->print.not_compared = "you may not ask the server";
        return error;
    }
    s->print.is_bad = true;
    if (error == -ETIMEDOUT) /* nobody is late by a book that nobody can ask whether it is behind */
        s->print.not_compared = "the server takes no connection";
    else
        cli_control_complain("audit", s->server.control, error);
    return error;
}

/* Is the server there? A stopped one is no finding, and neither is one that we may not ask; one
 * that hangs is. Only one who connects knows: a socket file may be left from a crash. */
static int look_at_queue(void *arg, struct audit_queue *out)
{
    struct session *s = arg;
    struct cli_control *control;

    audit_print_end_progress(&s->print);
    if (s->in_vain) {
        out->is_live = true;
        return s->in_vain;
    }
    int r = cli_control_try("audit", s->server.control, &control);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return read_spool(s, out);
    out->is_live = true; /* as far as one can tell from outside of its folder */
    if (r < 0)
        return tell_unreached(s, r);
    r = ask_server(s, control, out);
    cli_control_close(control);
    return r;
}

/* ---- options ---- */

static int take_time(struct session *s, int key, const char *value)
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

static int take_option(struct session *s, int key, const char *value)
{
    switch (key) {
    case OPTION_ALARMS:
        s->options.with_alarms = true;
        break;
    case OPTION_QUICK:
        s->quick = true;
        break;
    case OPTION_CHECKPOINT:
        s->checkpoint.write = value;
        break;
    case OPTION_KEY:
        s->checkpoint.key = value;
        break;
    case OPTION_VERIFY:
        s->checkpoint.verify = value;
        break;
    case OPTION_PUBLIC_KEY:
        s->checkpoint.public_key = value;
        break;
    case OPTION_ACKNOWLEDGE:
        s->acknowledge.wanted = true;
        break;
    case OPTION_REASON:
        s->acknowledge.reason = value;
        break;
    case OPTION_YES:
        s->acknowledge.yes = true;
        break;
    case OPTION_ACKNOWLEDGED:
        s->options.with_acknowledged = true;
        break;
    default:
        return take_time(s, key, value);
    }
    return CLI_OK;
}

static int check_acknowledge(const struct session *s, size_t words)
{
    const struct audit_acknowledge *a = &s->acknowledge;
    size_t size = a->reason ? strlen(a->reason) : 0;

    if (!a->wanted)
        return words       ? cli_wrong_usage(&usage, "it takes no arguments")
               : a->reason ? cli_wrong_usage(&usage, "--reason goes with --acknowledge")
                           : CLI_OK;
    if (words == 0)
        return cli_wrong_usage(&usage,
                               "--acknowledge what? ids of findings or messages, or \"all\"");
    if (size == 0 || size > IPC_ACKNOWLEDGE_REASON_MAX)
        return cli_wrong_usage(&usage,
                               size ? "the reason is too long" : "--acknowledge needs a --reason");
    if (s->checkpoint.write || s->checkpoint.verify || s->options.with_acknowledged)
        return cli_wrong_usage(&usage, "--acknowledge does nothing else");
    return CLI_OK;
}

/* Of a list that came by a pipe nobody can be asked either, but it names what it means. */
static int take_words(struct audit_acknowledge *a, char **words, size_t count)
{
    int code = audit_acknowledge_take(a, words, count);

    if (code == CLI_OK && a->all && !a->yes && !isatty(STDIN_FILENO))
        return cli_wrong_usage(&usage, "\"all\" needs --yes when nobody can be asked");
    return code;
}

static int check_options(const struct audit_checkpoint *c)
{
    if (c->key && !c->write)
        return cli_wrong_usage(&usage, "--key signs a --checkpoint");
    if (c->public_key && !c->verify)
        return cli_wrong_usage(&usage, "--public-key goes with --verify-checkpoint");
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
    size_t words = (size_t)(argc - parser.first);
    code = check_options(&s->checkpoint);
    if (code == CLI_OK)
        code = check_acknowledge(s, words);
    if (code == CLI_OK && words)
        code = take_words(&s->acknowledge, argv + parser.first, words);
    if (code != CLI_OK)
        return code;
    int r = s->acknowledge.wanted ? cli_server_find_for_act("audit", parser.config, &s->server)
                                  : cli_server_find("audit", parser.config, &s->server);
    if (r < 0)
        return CLI_UNREACHED;
    s->print.json = parser.json;
    *out_end = false;
    return CLI_OK;
}

/* ---- acknowledging ---- */

static void on_found(void *arg, const struct audit_finding *finding)
{
    struct session *s = arg;

    if (!s->acknowledge.wanted || audit_acknowledge_found(&s->acknowledge, finding))
        audit_print_finding(&s->print, finding);
}

/* Shows at once, and not after the long work, that there is no server to book it. */
static int check_server(const struct session *s)
{
    struct cli_control *control;
    int code = cli_control_open("audit", s->server.control, &control);

    if (code == CLI_OK)
        cli_control_close(control);
    return code;
}

static int acknowledge(struct session *s)
{
    int code = audit_acknowledge_book(&s->acknowledge, s->server.control);

    if (s->print.is_bad)
        cli_complain("audit", "the queue was not compared: %s", s->print.not_compared);
    if (s->print.json)
        audit_print_acknowledged(&s->print, s->acknowledge.booked, code == CLI_OK);
    else
        audit_acknowledge_print(&s->acknowledge);
    return code == CLI_OK && s->print.is_bad ? CLI_BAD_NEWS : code;
}

/* ---- the run ---- */

/* What one that is made anew doesn't have yet would look like a loss. Without it the files are read
 * as they are, and nobody is compared with the queue: by the time it is looked at the book may have
 * caught up, and nothing would say why they seemed to be damaged. That it can't be asked for
 * another reason is told when the queue is looked at. */
static int wait_for_book(struct session *s)
{
    struct cli_control *control;
    int r = cli_control_try("audit", s->server.control, &control);

    if (r < 0)
        return r == -ETIMEDOUT ? tell_unreached(s, r) : 0;
    r = catch_up(s, control);
    cli_control_close(control);
    return r == -ETIMEDOUT ? tell_behind(s) : 0;
}

/* The checkpoint that is compared is read before the long work: a wrong file name shows at once.
 * Findings go before its code: they are the news. */
static int run(struct session *s)
{
    int code = s->acknowledge.wanted ? check_server(s) : audit_checkpoint_load(&s->checkpoint);

    if (code != CLI_OK)
        return code;
    s->in_vain = wait_for_book(s);
    s->options.expected = s->checkpoint.verify ? &s->checkpoint.expected : NULL;
    s->options.reached = s->checkpoint.write ? &s->checkpoint.reached : NULL;
    int r = audit_run(s->server.ledger, &s->options, &s->counts);

    audit_print_end_progress(&s->print);
    if (r < 0) {
        cli_complain("audit", "can't read the book in %s: %s", s->server.ledger, ledger_why(r));
        return CLI_UNREACHED;
    }
    if (s->acknowledge.wanted)
        return acknowledge(s);
    audit_print_result(&s->print, &s->counts);
    code =
        audit_checkpoint_write(&s->checkpoint, s->server.hostname, &s->counts, s->options.now_us);
    return s->counts.findings || s->print.is_bad ? CLI_BAD_NEWS : code;
}

int cli_audit(int argc, char **argv)
{
    struct session s = {.print = {.not_compared = "the server could not be asked"},
                        .options = {.now_us = clock_wall_us(),
                                    .overdue_us = INT64_C(3600) * 1000000,
                                    .found = on_found,
                                    .look_at_queue = look_at_queue}};
    bool end;
    int code = parse(&s, argc, argv, &end);

    if (end) {
        audit_acknowledge_done(&s.acknowledge);
        return code;
    }
    s.options.arg = &s;
    s.print.checkpoint = &s.checkpoint;
    s.print.findings = json_array();
    s.print.acknowledged = json_array();
    s.print.tells_acknowledged = s.options.with_acknowledged;
    if (isatty(STDERR_FILENO) && !s.print.json)
        s.options.progress = audit_print_progress;
    code = run(&s);
    audit_print_done(&s.print);
    audit_checkpoint_done(&s.checkpoint);
    audit_acknowledge_done(&s.acknowledge);
    return cli_finish_output("audit", code);
}
