#include "cli/trace_why.h"

#include "base/printable.h"
#include "cli/cli.h"
#include "cli/control.h"
#include "cli/why.h"

/* A trace may find thousands of messages; what hasn't arrived yet is asked for these only. */
enum { MESSAGES_MAX = 20, RECIPIENTS_MAX = 100 };

struct paragraph {
    const struct trace_message *message;
    struct trace_reasons *reasons;
    uint32_t seen[RECIPIENTS_MAX]; /* indexes that the queue has */
    size_t count;
};

static bool on_page(void *arg, const struct ipc_queue_page *page)
{
    struct paragraph *p = arg;
    struct buffer *out = &p->reasons->text;
    char id[ID_TEXT + 1];

    for (size_t i = 0; i < page->row_count && p->count < RECIPIENTS_MAX; i++) {
        const struct ipc_queue_row *row = &page->rows[i];
        const struct trace_entry *entry = trace_entry_at(p->message, row->index);
        if (!entry)
            continue; /* nobody asked for this one */
        id_format(&row->id, id);
        buffer_printf(out, "Why not yet: %s to ", id);
        printable_append(out, row->address);
        buffer_printf(out, "\n");
        why_append(row, entry, page->now_us, out);
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

static bool was_missing(const struct trace_reasons *reasons, const struct id *id, uint32_t index)
{
    for (size_t i = 0; i < reasons->missing_count; i++)
        if (reasons->missing[i].index == index && id_equal(&reasons->missing[i].id, id))
            return true;
    return false;
}

static void tell_missing(const struct paragraph *p, const struct trace_entry *entry)
{
    struct buffer *out = &p->reasons->text;
    char id[ID_TEXT + 1];

    if (!was_missing(p->reasons, &p->message->id, entry->index))
        return;
    id_format(&p->message->id, id);
    buffer_printf(out, "The queue doesn't have it: %s to ", id);
    printable_append(out, entry->address);
    buffer_printf(out,
                  "\n    nobody tries it any more: the spool was lost or put back from an older "
                  "copy, or the book was made anew when the log no longer had the outcome "
                  "(see postbuch audit)\n");
}

static void note_missing(struct trace_reasons *reasons, const struct id *id, uint32_t index)
{
    size_t at = reasons->missing_count;

    if (at == TRACE_MISSING_MAX)
        return;
    reasons->missing[at].id = *id;
    reasons->missing[at].index = index;
    reasons->missing_count++;
}

static void look_for_missing(const struct paragraph *p)
{
    const struct trace_message *m = p->message;

    for (size_t i = 0; i < m->entry_count && p->count < RECIPIENTS_MAX; i++) {
        if (m->entries[i].state != RECIPIENT_WAITING || has_seen(p, m->entries[i].index))
            continue;
        if (p->reasons->again)
            tell_missing(p, &m->entries[i]);
        else
            note_missing(p->reasons, &m->id, m->entries[i].index);
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
                      struct trace_reasons *reasons)
{
    size_t asked = 0;
    int code = CLI_OK;

    buffer_clear(&reasons->text);
    for (size_t i = 0; i < result->message_count && asked < MESSAGES_MAX && code == CLI_OK; i++) {
        struct paragraph p = {.message = &result->messages[i], .reasons = reasons};
        const struct ipc_queue_filter filter = {.id = p.message->id};
        if (!waits(p.message))
            continue;
        asked++;
        code = cli_control_list(control, &filter, on_page, &p);
        if (code == CLI_OK)
            look_for_missing(&p);
    }
    reasons->again = true;
    return code;
}
