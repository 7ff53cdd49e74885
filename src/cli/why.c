/*
 * The book is asked once for a message, and only when it can be: without it the queue's own words
 * stand alone. What would help is said by whom it needs: the station, its administrator, ours, or
 * time.
 */
#include "cli/why.h"

#include "base/clock.h"
#include "base/printable.h"
#include "cli/queue_wait.h"

/* ---- what the book knows ---- */

void why_book_load(struct why_book *book, const char *ledger, const struct id *id)
{
    char text[ID_TEXT + 1];
    struct trace_query query = {.limit = 1};

    id_format(id, text);
    query.what = span_from_cstr(text);
    int r = trace_run(ledger, &query, &book->result);
    book->loaded = r == 0;
    if (r < 0)
        trace_result_done(&book->result);
}

void why_book_done(struct why_book *book)
{
    if (book->loaded)
        trace_result_done(&book->result);
    book->loaded = false;
}

const struct trace_entry *why_book_entry(const struct why_book *book, const struct id *id,
                                         uint32_t index)
{
    for (size_t i = 0; book->loaded && i < book->result.message_count; i++) {
        const struct trace_message *m = &book->result.messages[i];
        if (id_equal(&m->id, id))
            return trace_entry_at(m, index);
    }
    return NULL;
}

static const struct trace_event *last_trouble(const struct trace_entry *e)
{
    return e ? trace_trouble(e) : NULL;
}

/* The book's words are those of the last attempt; the row's may be the destination's. */
struct span why_trouble(const struct ipc_queue_row *row, const struct trace_entry *entry)
{
    const struct trace_event *event = last_trouble(entry);

    if (event && event->reply.size)
        return event->reply;
    return event && event->detail.size ? event->detail : row->why;
}

/* ---- what would help ---- */

static const char *const by_wait[IPC_WAIT_COUNT] = {
    [IPC_WAIT_TURN] = "nothing is wrong: it goes as soon as its turn comes",
    [IPC_WAIT_WINDOW] = "nothing is wrong: it goes when one of the attempts under way has ended",
    [IPC_WAIT_OUTCOME] = "it is being attempted just now",
    [IPC_WAIT_RELEASE] =
        "an administrator must act: postbuch queue release, return, reroute or remove",
    [IPC_WAIT_OURS] = "this server has trouble of its own, which must be mended; the first attempt "
                      "that finds it gone lets all go, postbuch queue retry makes one at once",
    [IPC_WAIT_CARRIER] = "the process that carries it must run; the supervisor starts it again by "
                         "itself, postbuch status tells what is wrong",
    [IPC_WAIT_RETURN] =
        "nothing needs to be done: the report to its sender is written as soon as the report "
        "process has time",
};

/* By the enhanced status of the last trouble (RFC 3463). The first that fits. */
struct remedy {
    const char *status, *remedy;
};

/* When no station said so, but we. */
static const struct remedy of_ours[] = {
    {"?.2.2",
     "the recipient must make room in the mailbox, or an administrator here raise its quota"},
    {"?.3.1", "an administrator of this server must make room on the disk with the mailboxes"},
    {"?.3.2", "waiting helps: this server was short of something, or about to end"},
    {"?.3.?",
     "an administrator of this server must mend what the words above name; then it goes by "
     "itself, or at once by postbuch queue retry"},
};

static const struct remedy by_status[] = {
    {"?.1.8", "the sender's domain must be mended: it doesn't resolve for that station"},
    {"?.2.1", "whoever runs the recipient's mail must switch the mailbox on again"},
    {"?.2.2", "the recipient must make room in the mailbox"},
    {"?.2.?", "whoever runs the recipient's mailbox must mend it"},
    {"?.3.1", "whoever runs that station must make room on its disk"},
    {"?.3.2", "waiting helps: that station takes no mail at the moment"},
    {"?.3.4", "the message is too large there; its sender must send it smaller"},
    {"?.3.?", "whoever runs that station must mend it"},
    {"?.4.1", "its servers must answer; if they moved, postbuch queue reroute sends it elsewhere"},
    {"?.4.2", "the connection must hold; whoever runs that station, or the network, must act"},
    {"?.4.3", "the name servers of its domain must answer; postbuch route ADDRESS asks them again"},
    {"?.4.4", "a way there must exist: see postbuch route ADDRESS and the routes configured"},
    {"?.4.5", "waiting helps: that station is overloaded"},
    {"?.4.6", "the circle must be broken: a forwarding or a route leads back"},
    {"?.4.?", "the way there must be mended; postbuch route ADDRESS shows it"},
    {"?.7.1", "waiting may be all (greylisting); else that station's rules must let it in"},
    {"?.7.?", "that station's rules must let it in; ask its postmaster with its words above"},
};

static bool contains(struct span text, const char *part)
{
    struct span wanted = span_from_cstr(part);

    for (size_t i = 0; i + wanted.size <= text.size; i++)
        if (span_starts_nocase(span_from(text, i), wanted))
            return true;
    return false;
}

static const char *find_remedy(const struct remedy *list, size_t count, struct span status)
{
    for (size_t i = 0; i < count; i++)
        if (event_status_fits(status, list[i].status))
            return list[i].remedy;
    return NULL;
}

/* From the most certain to the vaguest: what we know ourselves, a word that means one thing
 * everywhere, the status, and then only that somebody must act. */
static const char *after_trouble(const struct trace_event *event, struct span words)
{
    if (event && event->kind == EVENT_UNCERTAIN)
        return "the next attempt; what was sent before may have arrived, then it comes twice";
    if (contains(words, "greylist") || contains(words, "graylist"))
        return "waiting is all: that station lets it in when it comes again (greylisting)";
    const char *remedy = NULL;
    if (event && !event_is_reply(event->reply))
        remedy = find_remedy(of_ours, ARRAY_SIZE(of_ours), event->status);
    if (event && !remedy)
        remedy = find_remedy(by_status, ARRAY_SIZE(by_status), event->status);
    return remedy       ? remedy
           : words.size ? "what the words above name must be mended; then it goes by itself, or at "
                          "once by postbuch queue retry"
                        : "nothing is wrong: it waits for its time";
}

const char *why_remedy(const struct ipc_queue_row *row, const struct trace_entry *entry)
{
    bool waits_for_time = row->wait == IPC_WAIT_PAUSE || row->wait == IPC_WAIT_DESTINATION;

    if (row->damaged)
        return "its bytes must be restored from a backup; else remove it and tell its sender";
    if (row->wait < IPC_WAIT_COUNT && !waits_for_time)
        return by_wait[row->wait];
    return after_trouble(last_trouble(entry), why_trouble(row, entry));
}

/* ---- text ---- */

static void append_time(struct buffer *out, const char *before, int64_t time_us)
{
    char text[CLOCK_RFC3339_SIZE];

    clock_format_local(time_us, text);
    buffer_printf(out, "%s%s", before, text);
}

static void append_trouble(const struct ipc_queue_row *row, const struct trace_entry *entry,
                           struct buffer *out)
{
    const struct trace_event *event = last_trouble(entry);
    struct span words = why_trouble(row, entry);

    if (!words.size)
        return;
    buffer_printf(out, "    last trouble");
    if (event)
        append_time(out, " at ", event->time_us);
    buffer_printf(out, ": ");
    if (event && event->host.size) {
        printable_append(out, event->host);
        buffer_printf(out, event_is_reply(words) ? " said: " : ": ");
    }
    printable_append(out, words);
    buffer_printf(out, "\n");
}

/* Others' trouble, when it isn't the same as its own. */
static void append_destination(const struct ipc_queue_row *row, const struct trace_entry *entry,
                               struct buffer *out)
{
    bool is_ours = row->wait == IPC_WAIT_OURS;

    if ((row->wait != IPC_WAIT_DESTINATION && !is_ours) || !row->why.size ||
        span_equal(row->why, span_first(why_trouble(row, entry), row->why.size)))
        return;
    if (is_ours) {
        buffer_printf(out, "    others on its way failed because of this server: ");
    } else {
        buffer_printf(out, "    its destination ");
        printable_append(out, row->destination);
        buffer_printf(out, " pauses, for others failed there: ");
    }
    printable_append(out, row->why);
    buffer_printf(out, "\n");
}

static void append_holder(const struct trace_entry *entry, struct buffer *out)
{
    const struct trace_event *held = entry ? trace_held(entry) : NULL;

    if (!held)
        return;
    append_time(out, "    held since ", held->time_us);
    if (held->detail.size) {
        buffer_printf(out, ": ");
        printable_append(out, held->detail);
    }
    buffer_printf(out, "\n");
}

/* An administrator's own way, "host:…", "mx:…" or back, stands in the place of the domain; an
 * address literal has colons as well. */
static bool is_rerouted(struct span destination)
{
    return destination.size && destination.data[0] != '[' && span_find(destination, ':') >= 0;
}

static void append_way(const struct ipc_queue_row *row, struct buffer *out)
{
    struct buffer way = BUFFER_INIT;

    if (!is_rerouted(row->destination))
        return;
    buffer_printf(out, "    an administrator ");
    if (trace_text_way(row->destination, &way))
        buffer_printf(out, "chose its way:");
    else
        buffer_printf(out, "sends it back");
    buffer_append_span(out, buffer_span(&way));
    buffer_printf(out, "\n");
    buffer_done(&way);
}

void why_append(const struct ipc_queue_row *row, const struct trace_entry *entry, int64_t now_us,
                struct buffer *out)
{
    buffer_printf(out, "    waits for ");
    queue_format_wait_only(row, now_us, out);
    if (row->next_attempt_us > now_us)
        append_time(out, ", at ", row->next_attempt_us);
    buffer_printf(out, ", after %u attempt%s\n", row->attempts, row->attempts == 1 ? "" : "s");
    append_way(row, out);
    append_trouble(row, entry, out);
    append_destination(row, entry, out);
    append_holder(entry, out);
    if (row->doubtful)
        buffer_printf(out, "    it was due when the server ended without warning: if it was being "
                           "attempted just then, it may have arrived, and arrives twice\n");
    bool goes_back = row->wait == IPC_WAIT_RETURN && !row->damaged;
    buffer_printf(out, "    %s: %s\n", goes_back ? "it goes back" : "to succeed",
                  why_remedy(row, entry));
    if (row->deadline_us && !goes_back) {
        append_time(out, "    is given up by a failed attempt after ", row->deadline_us);
        buffer_printf(out, "\n");
    }
}
