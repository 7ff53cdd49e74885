#include "cli/trace_why.h"

#include "base/printable.h"
#include "cli/cli.h"
#include "cli/control.h"
#include "cli/why.h"

/* A trace may find thousands of messages; what hasn't arrived yet is asked for these only. */
enum { MESSAGES_MAX = 20, RECIPIENTS_MAX = 100 };

struct paragraph {
    const struct trace_message *message;
    struct buffer *out;
    uint32_t seen[RECIPIENTS_MAX]; /* indexes that the queue has */
    size_t count;
};

static bool on_page(void *arg, const struct ipc_queue_page *page)
{
    struct paragraph *p = arg;
    char id[ID_TEXT + 1];

    for (size_t i = 0; i < page->row_count && p->count < RECIPIENTS_MAX; i++) {
        const struct ipc_queue_row *row = &page->rows[i];
        const struct trace_entry *entry = trace_entry_at(p->message, row->index);
        if (!entry)
            continue; /* nobody asked for this one */
        id_format(&row->id, id);
        buffer_printf(p->out, "Why not yet: %s to ", id);
        printable_append(p->out, row->address);
        buffer_printf(p->out, "\n");
        why_append(row, entry, page->now_us, p->out);
        p->seen[p->count++] = row->index;
    }
    return p->count < RECIPIENTS_MAX;
}

static bool has_seen(const struct paragraph *p, uint32_t index)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->seen[i] == index)
            return true;
    return false;
}

/* The book was read before the queue was asked, so what is missing may have been finished since. */
static void append_missing(const struct paragraph *p)
{
    const struct trace_message *m = p->message;
    char id[ID_TEXT + 1];

    id_format(&m->id, id);
    for (size_t i = 0; i < m->entry_count && p->count < RECIPIENTS_MAX; i++) {
        if (m->entries[i].state != RECIPIENT_WAITING || has_seen(p, m->entries[i].index))
            continue;
        buffer_printf(p->out, "The queue doesn't have it: %s to ", id);
        printable_append(p->out, m->entries[i].address);
        buffer_printf(p->out,
                      "\n    just finished (ask again), or nobody tries it any more: the spool was "
                      "lost or put back from an older copy, or the book was made anew when the log "
                      "no longer had the outcome (see postbuch audit)\n");
    }
}

static bool waits(const struct trace_message *m)
{
    for (size_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].state == RECIPIENT_WAITING)
            return true;
    return false;
}

int trace_why_not_yet(struct cli_control *control, const struct trace_result *result,
                      bool is_behind, struct buffer *out)
{
    size_t asked = 0;
    int code = CLI_OK;

    for (size_t i = 0; i < result->message_count && asked < MESSAGES_MAX && code == CLI_OK; i++) {
        struct paragraph p = {.message = &result->messages[i], .out = out};
        const struct ipc_queue_filter filter = {.id = p.message->id};
        if (!waits(p.message))
            continue;
        asked++;
        code = cli_control_list(control, &filter, on_page, &p);
        if (code == CLI_OK && !is_behind)
            append_missing(&p);
    }
    return code;
}
