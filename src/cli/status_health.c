#include "cli/status_print.h"

#include "base/clock.h"

enum { COUNT_SIZE = 64 };

static const char *counted(char out[static COUNT_SIZE], long long count, const char *what)
{
    return status_counted(out, COUNT_SIZE, count, what);
}

/* A line: what it is about, what there is to tell in any case, and in red what is wrong. */
static void begin(const char *title)
{
    printf("%-11s", title);
}

static void end(json_t *status, enum status_matter matter)
{
    const struct cli_style *style = cli_style(stdout);
    struct buffer bad = BUFFER_INIT;

    status_trouble(status, matter, &bad);
    if (bad.size) {
        printf("%s", style->red);
        cli_put(stdout, buffer_span(&bad));
        printf("%s", style->reset);
    }
    buffer_done(&bad);
    putchar('\n');
}

static bool is_troubled(json_t *status, enum status_matter matter)
{
    struct buffer bad = BUFFER_INIT;

    status_trouble(status, matter, &bad);
    bool troubled = bad.size > 0;
    buffer_done(&bad);
    return troubled;
}

static void print_head(json_t *status, int64_t now_us)
{
    char since[CLOCK_RFC3339_SIZE] = "", age[32] = "";
    int64_t started_us;

    printf("Postbuch ");
    cli_put(stdout, span_from_cstr(status_text(status, "version")));
    if (clock_parse(span_from_cstr(status_text(status, "started")), now_us, &started_us) == 0) {
        clock_format_local(started_us, since);
        clock_format_between(started_us, now_us, age);
        printf(" runs since %s%s%s", since, *age ? ", for " : "", age);
    }
    printf(", configuration generation %lld\n\n", status_number(status, "generation"));
}

/* Restarts are told even when all is well now: a process that dies once an hour looks healthy at
 * any moment. */
static void print_processes(json_t *status)
{
    json_t *list = json_object_get(status, "processes"), *process;
    long long ready = 0, restarts = 0;
    size_t place;

    json_array_foreach(list, place, process)
    {
        long long starts = status_number(process, "starts");
        restarts += starts > 1 ? starts - 1 : 0;
        ready += status_is_ready(process);
    }
    begin("Processes");
    printf("%lld of %zu ready%s", ready, json_array_size(list), restarts ? ", " : "");
    if (restarts)
        printf("%lld restart%s", restarts, restarts == 1 ? "" : "s");
    end(status, STATUS_PROCESSES);
}

static void print_new_mail(json_t *status)
{
    begin("New mail");
    if (!is_troubled(status, STATUS_NEW_MAIL))
        printf("is taken");
    end(status, STATUS_NEW_MAIL);
}

static void print_waiting(json_t *status, json_t *queue)
{
    json_t *spool = json_object_get(queue, "spool");
    char recipients[COUNT_SIZE], messages[COUNT_SIZE];

    begin("Waiting");
    printf("%s of %s", counted(recipients, status_number(spool, "waiting"), "recipient"),
           counted(messages, status_number(spool, "messages"), "message"));
    if (status_number(spool, "held"))
        printf(", %lld held", status_number(spool, "held"));
    end(status, STATUS_WAITING);
}

/* To senders, before they lie in the spool. Only while there are some: as a rule each is there for
 * a moment. */
static void print_reports(json_t *status, json_t *queue)
{
    json_t *reports = json_object_get(queue, "reports");
    long long under_way = status_number(reports, "under_way");
    long long put_off = status_number(reports, "put_off");
    long long all = status_number(reports, "failed") + status_number(reports, "delayed") +
                    status_number(reports, "receipts");

    if (!all && !is_troubled(status, STATUS_REPORTS))
        return;
    begin("Reports");
    printf("%lld to be made, %lld under way", all - under_way, under_way);
    if (put_off)
        printf(", %lld put off", put_off);
    end(status, STATUS_REPORTS);
}

/* Only while something lies there: mail comes in this way when the server was down. */
static void print_dropped(json_t *status)
{
    json_t *drop = json_object_get(status, "drop");
    bool crowded = json_is_true(json_object_get(drop, "crowded"));
    long long letters = status_number(drop, "letters");
    char count[COUNT_SIZE];

    if (!letters && !is_troubled(status, STATUS_DROPPED))
        return;
    begin("Dropped");
    printf("%s%s to be collected", crowded ? "at least " : "", counted(count, letters, "message"));
    end(status, STATUS_DROPPED);
}

/* One segment behind is usual: the one that is being written. */
static void print_book(json_t *status, json_t *queue)
{
    long long lag = status_number(json_object_get(queue, "spool"), "book_lag_segments");
    bool bad = is_troubled(status, STATUS_BOOK);

    begin("Book");
    if (!bad && lag > 1)
        printf("%lld segments of the log behind", lag);
    else if (!bad)
        printf("up to date");
    end(status, STATUS_BOOK);
}

/* Of all processes of this name together. */
static long long sum(json_t *status, const char *name, const char *key)
{
    json_t *process;
    size_t place;
    long long all = 0;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        if (strcmp(status_text(process, "name"), name) == 0)
            all += status_number(json_object_get(process, "figures"), key);
    }
    return all;
}

/* ---- counts, since the processes were started ---- */

struct restarted {
    long long count, all; /* of the processes of a name: started again, and in all */
    int64_t since_us;     /* when the last of those was started */
};

/* Who died and was started again doesn't know what was counted before. */
static struct restarted find_restarted(json_t *status, const char *name, int64_t now_us)
{
    struct restarted r = {0};
    json_t *process;
    size_t place;

    json_array_foreach(json_object_get(status, "processes"), place, process)
    {
        int64_t since_us = now_us - status_number(process, "running_ms") * 1000;
        if (strcmp(status_text(process, "name"), name) != 0)
            continue;
        r.all++;
        if (status_number(process, "starts") <= 1)
            continue;
        r.count++;
        r.since_us = since_us > r.since_us ? since_us : r.since_us;
    }
    return r;
}

/* Else the counts would read as the server's, whose start stands in the first line. */
static void print_restarted(json_t *status, const char *name, int64_t now_us)
{
    struct restarted r = find_restarted(status, name, now_us);
    char since[CLOCK_RFC3339_SIZE];

    if (!r.count)
        return;
    clock_format_local(r.since_us, since);
    if (r.all > 1)
        printf(" (%lld of %lld %s count since %s only)", r.count, r.all, name, since);
    else
        printf(" (since %s only)", since);
}

static void print_counts(json_t *status, json_t *queue, int64_t now_us)
{
    char messages[COUNT_SIZE], refusals[COUNT_SIZE];

    begin("Received");
    printf("%s", counted(messages, status_number(queue, "accepted"), "message"));
    print_restarted(status, "queue", now_us);
    printf(", and %s", counted(refusals, sum(status, "smtpd", "refusals"), "refusal"));
    print_restarted(status, "smtpd", now_us);
    putchar('\n');
    begin("Completed");
    printf("%lld delivered, %lld relayed, %lld returned; %lld attempts deferred",
           status_number(queue, "delivered"), status_number(queue, "relayed"),
           status_number(queue, "returned"), status_number(queue, "attempts_deferred"));
    print_restarted(status, "queue", now_us);
    putchar('\n');
}

void status_print_health(json_t *status, int64_t now_us)
{
    json_t *queue = status_figures_of(status, "queue");

    print_head(status, now_us);
    print_processes(status);
    if (queue) {
        print_new_mail(status);
        print_waiting(status, queue);
        print_reports(status, queue);
    } else {
        begin("Queue");
        end(status, STATUS_QUEUE);
    }
    print_dropped(status);
    print_book(status, queue);
    if (queue)
        print_counts(status, queue, now_us);
}
