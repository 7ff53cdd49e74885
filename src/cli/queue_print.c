#include "cli/queue_print.h"

#include "base/clock.h"
#include "base/printable.h"
#include "cli/queue_wait.h"
#include "cli/why.h"

enum { DURATION_SIZE = 32 };

static const struct {
    uint8_t state;
    const char *name;
} states[] = {
    {IPC_QUEUE_PAUSED, "paused"},
    {IPC_QUEUE_READY, "ready"},
    {IPC_QUEUE_ACTIVE, "active"},
    {IPC_QUEUE_HELD, "held"},
};

const char *queue_state_name(uint8_t state)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (states[i].state == state)
            return states[i].name;
    return "unknown";
}

uint8_t queue_state_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (strcmp(states[i].name, name) == 0)
            return states[i].state;
    return 0;
}

static struct span shown_sender(struct span sender)
{
    return sender.size ? sender : SPAN("<>");
}

/* `wait` is for its work, kept from row to row. */
static void add_row(struct cli_table *t, const struct ipc_queue_row *row, int64_t now_us,
                    struct buffer *wait)
{
    char id[ID_TEXT + 1], age[DURATION_SIZE];

    id_format(&row->id, id);
    clock_format_between(row->accepted_us, now_us, age);
    buffer_clear(wait);
    queue_format_wait(row, now_us, wait);
    cli_table_add(t, span_from_cstr(id));
    cli_table_add(t, span_from_cstr(age));
    cli_table_add_number(t, row->size_bytes);
    cli_table_add(t, shown_sender(row->sender));
    cli_table_add(t, row->address);
    cli_table_add_number(t, row->attempts);
    cli_table_add(t, buffer_span(wait));
}

int queue_print_page(const struct ipc_queue_page *page, bool first)
{
    static const struct cli_column columns[] = {
        {"ID", false},        {"AGE", true},      {"SIZE", true},       {"SENDER", false},
        {"RECIPIENT", false}, {"ATTEMPTS", true}, {"WAITS FOR", false},
    };
    struct buffer wait = BUFFER_INIT;
    struct cli_table t;

    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    t.untitled = !first;
    for (size_t i = 0; i < page->row_count; i++)
        add_row(&t, &page->rows[i], page->now_us, &wait);
    buffer_done(&wait);
    int result = cli_table_print(&t, stdout);
    cli_table_done(&t);
    return result;
}

static void print_message(const struct ipc_queue_row *row, int64_t now_us)
{
    char id[ID_TEXT + 1], when[CLOCK_RFC3339_SIZE], age[DURATION_SIZE];
    const struct cli_style *style = cli_style(stdout);

    id_format(&row->id, id);
    clock_format_local(row->accepted_us, when);
    clock_format_between(row->accepted_us, now_us, age);
    printf("%s%s%s from ", style->bold, id, style->reset);
    cli_put(stdout, shown_sender(row->sender));
    printf("\n  accepted %s, %s ago, %llu bytes\n", when, age, (unsigned long long)row->size_bytes);
}

void queue_print_full(const struct ipc_queue_row *row, const struct trace_entry *entry,
                      int64_t now_us, bool with_message)
{
    struct buffer why = BUFFER_INIT;

    if (with_message)
        print_message(row, now_us);
    printf("  to ");
    cli_put(stdout, row->address);
    if (row->original.size && !span_equal(row->original, row->address)) {
        printf(" (written as ");
        cli_put(stdout, row->original);
        putchar(')');
    }
    putchar('\n');
    why_append(row, entry, now_us, &why);
    fwrite(why.data, 1, why.size, stdout);
    buffer_done(&why);
}

json_t *queue_row_json_full(const struct ipc_queue_row *row, const struct trace_entry *entry)
{
    const struct trace_event *held = entry ? trace_held(entry) : NULL;
    json_t *object = queue_row_json(row);

    json_object_set_new(object, "trouble", cli_json_text(why_trouble(row, entry)));
    json_object_set_new(object, "held_by", held ? cli_json_text(held->detail) : json_null());
    json_object_set_new(object, "to_succeed", json_string(why_remedy(row, entry)));
    return object;
}

json_t *queue_row_json(const struct ipc_queue_row *row)
{
    char id[ID_TEXT + 1];

    id_format(&row->id, id);
    json_t *object =
        json_pack("{s:s, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:o, s:o, s:o}", "id",
                  id, "index", (json_int_t)row->index, "received", cli_json_time(row->accepted_us),
                  "size", (json_int_t)row->size_bytes, "sender", cli_json_text(row->sender),
                  "address", cli_json_text(row->address), "original", cli_json_text(row->original),
                  "destination", cli_json_text(row->destination), "state",
                  queue_state_name(row->state), "waits_for", queue_wait_name(row->wait), "attempts",
                  (json_int_t)row->attempts, "next_attempt", cli_json_time(row->next_attempt_us),
                  "deadline", cli_json_time(row->deadline_us), "why", cli_json_text(row->why));
    if (row->damaged)
        json_object_set_new(object, "damaged", json_true());
    return object;
}

/* ---- the summary ---- */

static void add_sum(struct cli_table *t, const struct ipc_queue_sum *sum, int64_t now_us)
{
    char oldest[DURATION_SIZE];

    cli_table_add(t, sum->destination);
    cli_table_add_number(t, (uint64_t)sum->paused + sum->ready + sum->active + sum->held);
    cli_table_add_number(t, sum->active);
    cli_table_add_number(t, sum->held);
    for (size_t i = 0; i < IPC_QUEUE_AGES; i++)
        cli_table_add_number(t, sum->ages[i]);
    clock_format_between(sum->oldest_us, now_us, oldest);
    cli_table_add(t, span_from_cstr(oldest));
    cli_table_add(t, sum->why);
}

int queue_print_summary(const struct ipc_queue_summary *summary)
{
    char ages[IPC_QUEUE_AGES][DURATION_SIZE + 1];
    struct cli_column columns[6 + IPC_QUEUE_AGES] = {
        {"DESTINATION", false}, {"ALL", true}, {"ACTIVE", true}, {"HELD", true}};
    struct cli_table t;

    for (size_t i = 0; i < IPC_QUEUE_AGES; i++) {
        bool open = i + 1 == IPC_QUEUE_AGES;
        ages[i][0] = open ? '>' : '<';
        clock_format_duration((int64_t)ipc_queue_age_s[open ? i - 1 : i] * 1000, ages[i] + 1);
        columns[4 + i] = (struct cli_column){ages[i], true};
    }
    columns[4 + IPC_QUEUE_AGES] = (struct cli_column){"OLDEST", true};
    columns[5 + IPC_QUEUE_AGES] = (struct cli_column){"LAST TROUBLE", false};
    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < summary->row_count; i++)
        add_sum(&t, &summary->rows[i], summary->now_us);
    printf("%llu messages, %llu recipients, %u destinations\n\n",
           (unsigned long long)summary->messages, (unsigned long long)summary->recipients,
           summary->destinations);
    int result = cli_table_print(&t, stdout);
    cli_table_done(&t);
    return result;
}

static json_t *sum_json(const struct ipc_queue_sum *sum)
{
    json_t *ages = json_array();

    for (size_t i = 0; i < IPC_QUEUE_AGES; i++)
        json_array_append_new(
            ages, json_pack("{s:o, s:I}", "below_s",
                            i + 1 < IPC_QUEUE_AGES ? json_integer(ipc_queue_age_s[i]) : json_null(),
                            "recipients", (json_int_t)sum->ages[i]));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:o, s:o}", "destination",
                     cli_json_text(sum->destination), "paused", (json_int_t)sum->paused, "ready",
                     (json_int_t)sum->ready, "active", (json_int_t)sum->active, "held",
                     (json_int_t)sum->held, "ages", ages, "oldest", cli_json_time(sum->oldest_us),
                     "window", (json_int_t)sum->window, "resumes", cli_json_time(sum->resume_us),
                     "why", cli_json_text(sum->why));
}

json_t *queue_summary_json(const struct ipc_queue_summary *summary)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < summary->row_count; i++)
        json_array_append_new(rows, sum_json(&summary->rows[i]));
    return json_pack("{s:I, s:I, s:I, s:o}", "messages", (json_int_t)summary->messages,
                     "recipients", (json_int_t)summary->recipients, "destinations_in_all",
                     (json_int_t)summary->destinations, "destinations", rows);
}
