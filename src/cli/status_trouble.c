#include "cli/status_print.h"

enum { TURN_LONG_MS = 10000, COUNT_SIZE = 64 };

/* ---- what the server says ---- */

long long status_number(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *status_text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

static json_t *process_of(json_t *status, const char *name)
{
    json_t *process;
    size_t place;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        if (strcmp(status_text(process, "name"), name) == 0)
            return process;
    }
    return NULL;
}

json_t *status_figures_of(json_t *status, const char *name)
{
    json_t *figures = json_object_get(process_of(status, name), "figures");

    return json_is_object(figures) ? figures : NULL;
}

const char *status_counted(char *out, size_t size, long long count, const char *what)
{
    snprintf(out, size, "%lld %s%s", count, what, count == 1 ? "" : "s");
    return out;
}

/* ---- processes ---- */

bool status_is_ready(json_t *process)
{
    return json_is_true(json_object_get(process, "ready"));
}

static bool is_not_ready(json_t *process)
{
    return !status_is_ready(process);
}

/* It was asked for its figures and said nothing for four seconds. */
static bool hangs(json_t *process)
{
    return status_is_ready(process) && json_is_false(json_object_get(process, "answers"));
}

static void append_names(json_t *list, const char *title, bool (*is_one)(json_t *process),
                         struct buffer *out)
{
    const char *before = title, *begins = "; ";
    json_t *process;
    size_t place;

    json_array_foreach(list, place, process)
    {
        if (!is_one(process))
            continue;
        buffer_printf(out, "%s%s%s%s", begins, before, *before ? ": " : "",
                      status_text(process, "name"));
        begins = ", ";
        before = "";
    }
}

/* Each question is answered with the reason: a trust anchor or servers that it can't use. */
static bool is_blind(json_t *process)
{
    json_t *figures = json_object_get(process, "figures");

    return strcmp(status_text(process, "name"), "resolver") == 0 &&
           json_is_false(json_object_get(figures, "usable"));
}

static void of_processes(json_t *status, struct buffer *out)
{
    json_t *list = json_object_get(status, "processes");

    append_names(list, "not ready", is_not_ready, out);
    append_names(list, "doesn't answer", hangs, out);
    append_names(list, "can't look up names, so mail to other servers waits (see the server's log)",
                 is_blind, out);
}

/* ---- mail ---- */

/* Who comes then isn't answered until somebody goes. */
static void of_connections(json_t *status, struct buffer *out)
{
    json_t *process;
    size_t place;
    long long full = 0, all = 0;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        bool is_smtpd = strcmp(status_text(process, "name"), "smtpd") == 0;
        all += is_smtpd;
        full +=
            is_smtpd && json_is_true(json_object_get(json_object_get(process, "figures"), "full"));
    }
    if (full)
        buffer_printf(out,
                      "is taken, but %lld of %lld smtpd have all connections that they may "
                      "have (limits: connections), and others wait",
                      full, all);
}

/* Each of the two defers by itself: the queue what it has no room for, the directory whom it can't
 * look up. */
static void of_new_mail(json_t *status, struct buffer *out)
{
    json_t *queue = status_figures_of(status, "queue");
    json_t *directory = status_figures_of(status, "directory");
    long long unsure = status_number(directory, "unsure_domains");
    char domains[COUNT_SIZE];

    if (json_is_true(json_object_get(queue, "defers")))
        buffer_printf(out, "is deferred: %s", status_text(queue, "defers_why"));
    else if (!directory && process_of(status, "directory"))
        buffer_printf(out, "is deferred: the directory of users doesn't answer");
    else if (json_is_false(json_object_get(directory, "usable")))
        buffer_printf(out, "is deferred: users and aliases have errors (the server's log names "
                           "them); mend them, and reload");
    else if (unsure)
        buffer_printf(out, "is taken, but of %s only for known names: a users file is empty",
                      status_counted(domains, sizeof(domains), unsure, "domain"));
    else
        of_connections(status, out);
}

static void of_waiting(json_t *status, struct buffer *out)
{
    json_t *queue = status_figures_of(status, "queue");
    long long overdue = status_number(queue, "overdue");
    long long aside = status_number(json_object_get(queue, "spool"), "set_aside");
    char messages[COUNT_SIZE];

    if (overdue)
        buffer_printf(out, "; %lld overdue (postbuch audit names them)", overdue);
    if (aside)
        buffer_printf(out, "; %s damaged and set aside (postbuch audit)",
                      status_counted(messages, sizeof(messages), aside, "message"));
}

/* Until then senders aren't told, and who failed waits. */
static void of_reports(json_t *status, struct buffer *out)
{
    json_t *reports = json_object_get(status_figures_of(status, "queue"), "reports");
    const char *trouble = status_text(reports, "trouble");

    if (strcmp(trouble, "process") == 0)
        buffer_printf(out, "; nobody is given up: the report process isn't there");
    else if (strcmp(trouble, "full") == 0)
        buffer_printf(out, "; nobody is given up: there is no room for more of them");
    else if (strcmp(trouble, "behind") == 0)
        buffer_printf(out, "; attempts wait until there are fewer");
}

static void of_drop_folder(json_t *status, struct buffer *out)
{
    json_t *drop = json_object_get(status, "drop");
    long long put_off = status_number(drop, "put_off"), aside = status_number(drop, "set_aside");

    if (put_off)
        buffer_printf(out, "; %lld put off", put_off);
    if (aside)
        buffer_printf(out, "; %lld set aside", aside);
    if (json_is_true(json_object_get(drop, "stuck")))
        buffer_printf(out, "; they aren't collected");
    if (json_is_true(json_object_get(drop, "crowded")))
        buffer_printf(out, "; there are more files than are counted");
    if (out->size)
        buffer_printf(out, " (the server's log says why)");
}

/* A step takes some hundred milliseconds. */
static void of_book(json_t *status, struct buffer *out)
{
    json_t *book = status_figures_of(status, "book");
    const char *trouble = status_text(book, "trouble");

    buffer_printf(
        out, "%s",
        !book ? "doesn't answer"
        : status_number(book, "turn_ms") > TURN_LONG_MS
            ? "doesn't get on: its disk stalls, or a file of the ledger is being made anew"
        : strcmp(trouble, "none") == 0    ? ""
        : strcmp(trouble, "damaged") == 0 ? "has damage (postbuch audit names it)"
        : strcmp(trouble, "log") == 0 ? "stands still: the log can't be read (see the server's log)"
                                      : "stands still: it can't be written (see the server's log)");
}

static void of_queue(json_t *status, struct buffer *out)
{
    if (!status_figures_of(status, "queue"))
        buffer_printf(out, "doesn't answer");
}

/* ---- all of them ---- */

void status_trouble(json_t *status, enum status_matter matter, struct buffer *out)
{
    static void (*const find[STATUS_MATTERS])(json_t * status, struct buffer * out) = {
        [STATUS_PROCESSES] = of_processes, [STATUS_QUEUE] = of_queue,
        [STATUS_NEW_MAIL] = of_new_mail,   [STATUS_WAITING] = of_waiting,
        [STATUS_REPORTS] = of_reports,     [STATUS_DROPPED] = of_drop_folder,
        [STATUS_BOOK] = of_book,
    };
    find[matter](status, out);
}

bool status_is_bad(json_t *status)
{
    struct buffer out = BUFFER_INIT;

    for (enum status_matter i = 0; i < STATUS_MATTERS; i++)
        status_trouble(status, i, &out);
    bool bad = out.size || buffer_error(&out);
    buffer_done(&out);
    return bad;
}
