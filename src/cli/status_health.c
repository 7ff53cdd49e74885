#include "cli/status_print.h"

#include "base/clock.h"

enum { COUNT_SIZE = 64, TURN_LONG_MS = 10000 };

/* ---- what the server says ---- */

static long long number(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* The figures of the first process of this name; NULL: it has not answered. */
static json_t *figures_of(json_t *status, const char *name)
{
    json_t *process;
    size_t place;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        json_t *figures = json_object_get(process, "figures");
        if (strcmp(text(process, "name"), name) == 0)
            return json_is_object(figures) ? figures : NULL;
    }
    return NULL;
}

/* ---- how it looks ---- */

static const char *counted(char out[static COUNT_SIZE], long long count, const char *what)
{
    snprintf(out, COUNT_SIZE, "%lld %s%s", count, what, count == 1 ? "" : "s");
    return out;
}

static void begin(const char *title)
{
    printf("%-11s", title);
}

/* Ends the line; `bad`: what a person must look at, or NULL. */
static void end(const char *bad)
{
    const struct cli_style *style = cli_style(stdout);

    if (bad) {
        printf("%s", style->red);
        cli_put(stdout, span_from_cstr(bad));
        printf("%s", style->reset);
    }
    putchar('\n');
}

static void print_head(json_t *status, int64_t now_us)
{
    char since[CLOCK_RFC3339_SIZE] = "", age[32] = "";
    int64_t started_us;

    printf("Postbuch ");
    cli_put(stdout, span_from_cstr(text(status, "version")));
    if (clock_parse(span_from_cstr(text(status, "started")), now_us, &started_us) == 0) {
        clock_format_local(started_us, since);
        clock_format_between(started_us, now_us, age);
        printf(" runs since %s%s%s", since, *age ? ", for " : "", age);
    }
    printf(", configuration generation %lld\n\n", number(status, "generation"));
}

static bool is_ready(json_t *process)
{
    return json_is_true(json_object_get(process, "ready"));
}

static bool is_not_ready(json_t *process)
{
    return !is_ready(process);
}

/* It was asked for its figures and said nothing for four seconds. */
static bool hangs(json_t *process)
{
    return is_ready(process) && json_is_false(json_object_get(process, "answers"));
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
        buffer_printf(out, "%s%s%s%s", begins, before, *before ? ": " : "", text(process, "name"));
        begins = ", ";
        before = "";
    }
}

/* Restarts are told even when all is well now: a process that dies once an hour looks healthy at
 * any moment. */
static void print_processes(json_t *status)
{
    json_t *list = json_object_get(status, "processes"), *process;
    long long ready = 0, restarts = 0;
    struct buffer bad = BUFFER_INIT;
    size_t place;

    json_array_foreach(list, place, process)
    {
        long long starts = number(process, "starts");
        restarts += starts > 1 ? starts - 1 : 0;
        ready += is_ready(process);
    }
    append_names(list, "not ready", is_not_ready, &bad);
    append_names(list, "doesn't answer", hangs, &bad);
    buffer_append_byte(&bad, '\0');
    begin("Processes");
    printf("%lld of %zu ready%s", ready, json_array_size(list), restarts ? ", " : "");
    if (restarts)
        printf("%lld restart%s", restarts, restarts == 1 ? "" : "s");
    end(bad.size > 1 ? bad.data : NULL);
    buffer_done(&bad);
}

static void print_new_mail(json_t *queue)
{
    char why[256];

    begin("New mail");
    if (!json_is_true(json_object_get(queue, "defers"))) {
        printf("is taken");
        end(NULL);
        return;
    }
    snprintf(why, sizeof(why), "is deferred: %s", text(queue, "defers_why"));
    end(why);
}

static void print_waiting(json_t *queue)
{
    json_t *spool = json_object_get(queue, "spool");
    char recipients[COUNT_SIZE], messages[COUNT_SIZE], bad[160] = "";
    long long overdue = number(queue, "overdue"), aside = number(spool, "set_aside");

    begin("Waiting");
    printf("%s of %s", counted(recipients, number(spool, "waiting"), "recipient"),
           counted(messages, number(spool, "messages"), "message"));
    if (number(spool, "held"))
        printf(", %lld held", number(spool, "held"));
    if (overdue)
        snprintf(bad, sizeof(bad), "; %lld overdue (postbuch audit names them)", overdue);
    if (aside)
        snprintf(bad + strlen(bad), sizeof(bad) - strlen(bad),
                 "; %s damaged and set aside (postbuch audit)",
                 counted(messages, aside, "message"));
    end(*bad ? bad : NULL);
}

/* A step takes some hundred milliseconds. */
static const char *book_trouble(json_t *book)
{
    const char *trouble = text(book, "trouble");

    return !book ? "doesn't answer"
           : number(book, "turn_ms") > TURN_LONG_MS
               ? "doesn't get on: its disk stalls, or a file of the ledger is being made anew"
           : strcmp(trouble, "none") == 0    ? NULL
           : strcmp(trouble, "damaged") == 0 ? "has damage (postbuch audit names it)"
           : strcmp(trouble, "log") == 0
               ? "stands still: the log can't be read (see the server's log)"
               : "stands still: it can't be written (see the server's log)";
}

/* One segment behind is usual: the one that is being written. */
static void print_book(json_t *book, json_t *queue)
{
    const char *bad = book_trouble(book);
    long long lag = number(json_object_get(queue, "spool"), "book_lag_segments");

    begin("Book");
    if (!bad && lag > 1)
        printf("%lld segments of the log behind", lag);
    else if (!bad)
        printf("up to date");
    end(bad);
}

/* Of all processes of this name together. */
static long long sum(json_t *status, const char *name, const char *key)
{
    json_t *process;
    size_t place;
    long long all = 0;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        if (strcmp(text(process, "name"), name) == 0)
            all += number(json_object_get(process, "figures"), key);
    }
    return all;
}

/* Since the processes started. */
static void print_counts(json_t *status, json_t *queue)
{
    char messages[COUNT_SIZE], refusals[COUNT_SIZE];

    begin("Received");
    printf("%s, and %s", counted(messages, number(queue, "accepted"), "message"),
           counted(refusals, sum(status, "smtpd", "refusals"), "refusal"));
    end(NULL);
    begin("Completed");
    printf("%lld delivered, %lld relayed, %lld returned; %lld attempts deferred",
           number(queue, "delivered"), number(queue, "relayed"), number(queue, "returned"),
           number(queue, "attempts_deferred"));
    end(NULL);
}

void status_print_health(json_t *status, int64_t now_us)
{
    json_t *queue = figures_of(status, "queue");

    print_head(status, now_us);
    print_processes(status);
    if (queue) {
        print_new_mail(queue);
        print_waiting(queue);
    } else {
        begin("Queue");
        end("doesn't answer");
    }
    print_book(figures_of(status, "book"), queue);
    if (queue)
        print_counts(status, queue);
}
