/*
 * One sentence for each recipient: in whose hands the message is, and who must act now. It is said
 * from events alone, as they were booked, so it holds for a message that left the queue long ago.
 * Whatever came by the network is made printable.
 */
#include "book/trace.h"

#include "base/clock.h"
#include "base/printable.h"

/* The last word counts: a hold that was released is over, and of what isn't waiting any more
 * nothing is held. */
const struct trace_event *trace_held(const struct trace_entry *e)
{
    const struct trace_event *held = NULL;

    for (size_t i = 0; i < e->event_count; i++) {
        unsigned kind = e->events[i].kind;
        if (kind == EVENT_HELD)
            held = &e->events[i];
        else if (kind == EVENT_RELEASED || kind == EVENT_RETRIED)
            held = NULL;
    }
    return e->state == RECIPIENT_WAITING ? held : NULL;
}

/* Who was lost may be heard of and be lost again; every other end is the first. */
static bool is_earlier_end(const struct trace_entry *e, const struct trace_event *event)
{
    return e->state == RECIPIENT_LOST && event->time_us != e->since_us;
}

/* The event that closed it; NULL while it waits. */
const struct trace_event *trace_holder(const struct trace_entry *e)
{
    enum recipient_state closed;

    for (size_t i = 0; i < e->event_count; i++)
        if (event_kind_closes(e->events[i].kind, &closed) && closed == e->state &&
            !is_earlier_end(e, &e->events[i]))
            return &e->events[i];
    return NULL;
}

/* Books of before have it as discarded, with the status that says what it was. */
bool trace_is_duplicate(const struct trace_entry *e)
{
    const struct trace_event *by = trace_holder(e);

    return by && (by->kind == EVENT_DUPLICATE ||
                  (by->kind == EVENT_DISCARDED && span_equal(by->status, EVENT_DUPLICATE_STATUS)));
}

/* The last that says how an attempt went, when it wasn't well. */
const struct trace_event *trace_trouble(const struct trace_entry *e)
{
    for (size_t i = e->event_count; i-- > 0;) {
        unsigned kind = e->events[i].kind;
        if (kind == EVENT_DEFERRED || kind == EVENT_UNCERTAIN || kind == EVENT_EXPIRED)
            return &e->events[i];
    }
    return NULL;
}

/* A hold before a trouble: it is what keeps the message now. */
struct span trace_why(const struct trace_entry *e)
{
    if (e->state != RECIPIENT_WAITING)
        return SPAN("");
    const struct trace_event *event = trace_held(e);
    if (!event)
        event = trace_trouble(e);
    if (!event)
        return SPAN("");
    return event->reply.size ? event->reply : event->detail;
}

/* ---- words ---- */

/* A value that isn't there at all was erased; an empty one was never known. */
static void put_text(struct buffer *out, struct span text, const char *if_empty)
{
    if (text.size)
        printable_append(out, text);
    else
        buffer_printf(out, "%s", text.data ? if_empty : "(erased)");
}

static void put_time(struct buffer *out, const char *before, int64_t time_us)
{
    char text[CLOCK_RFC3339_SIZE];

    clock_format_local(time_us, text);
    buffer_printf(out, "%s%s", before, text);
}

static void put_station(struct buffer *out, const struct trace_event *event)
{
    bool host = event->host.size > 0;

    put_text(out, host ? event->host : event->ip, "the next station");
    if (host && event->ip.size) {
        buffer_printf(out, " [");
        printable_append(out, event->ip);
        buffer_printf(out, "]");
    }
}

static void put_quoted(struct buffer *out, const char *before, struct span text)
{
    if (text.size == 0)
        return;
    buffer_printf(out, "%s\"", before);
    printable_append(out, text);
    buffer_printf(out, "\"");
}

/* Who did it is told plainly, a reason is quoted. */
static void put_detail(struct buffer *out, const char *before, struct span detail)
{
    if (!span_starts_nocase(detail, SPAN("by uid "))) {
        put_quoted(out, before, detail);
        return;
    }
    buffer_printf(out, " ");
    printable_append(out, detail);
}

/* ---- what was in doubt once ---- */

static const char twice[] = "its recipient may have it twice",
                  all_the_same[] = "its recipient may have got it all the same";

/* Rule 4 of the spool: uncertain once, tried again. */
static bool was_uncertain(const struct trace_entry *e)
{
    for (size_t i = 0; i < e->event_count; i++)
        if (e->events[i].kind == EVENT_UNCERTAIN)
            return true;
    return false;
}

/* Whatever came after it: it stays possible that the station took what it didn't acknowledge. */
static void say_doubt(struct buffer *out, const struct trace_entry *e, const char *so)
{
    if (was_uncertain(e))
        buffer_printf(out, "; the acknowledgement of an earlier attempt was lost, so %s", so);
}

/* ---- a sentence for each state ---- */

static void say_delivered(struct buffer *out, const struct trace_entry *e,
                          const struct trace_event *by)
{
    buffer_printf(out, "Delivered into the mailbox ");
    put_text(out, e->address, "of its recipient");
    if (by && by->host.size) {
        buffer_printf(out, " on ");
        printable_append(out, by->host);
    }
    put_time(out, " at ", e->since_us);
    say_doubt(out, e, twice);
    buffer_printf(out, "; from here on its owner's mail program is responsible.");
}

static void say_relayed(struct buffer *out, const struct trace_entry *e,
                        const struct trace_event *by)
{
    buffer_printf(out, "Handed on to ");
    if (by)
        put_station(out, by);
    else
        buffer_printf(out, "the next station");
    put_time(out, " at ", e->since_us);
    if (by) {
        put_quoted(out, ", which took it with ", by->reply);
        put_quoted(out, " as ", by->remote_id);
    }
    say_doubt(out, e, twice);
    buffer_printf(out, "; that station is responsible now, ask its postmaster.");
}

static void say_expanded(struct buffer *out, const struct trace_entry *e)
{
    put_text(out, e->address, "The recipient");
    buffer_printf(out, " stands for %zu recipient%s that the message had not yet, since",
                  e->child_count, e->child_count == 1 ? "" : "s");
    put_time(out, " ", e->since_us);
    buffer_printf(out, "; each has an entry of its own that tells its fate.");
}

/* An alias of which all are there, or another name of who is. The book doesn't know who they are:
 * an expansion names only those who weren't there. */
static void say_duplicate(struct buffer *out, const struct trace_message *m,
                          const struct trace_entry *e)
{
    char id[ID_TEXT + 1];

    id_format(&m->id, id);
    put_time(out, "A duplicate, closed at ", e->since_us);
    buffer_printf(out, ": everybody whom ");
    put_text(out, e->original, "the recipient");
    buffer_printf(out,
                  " stands for has another entry in this message, which tells his fate"
                  " (postbuch trace %s).",
                  id);
}

static void say_returned(struct buffer *out, const struct trace_message *m,
                         const struct trace_entry *e, const struct trace_event *by)
{
    buffer_printf(out, "Returned to ");
    put_text(out, m->sender, "the postmaster");
    put_time(out, " at ", e->since_us);
    if (by)
        put_quoted(out, " because of ", by->reply);
    say_doubt(out, e, all_the_same);
    buffer_printf(out, "; its sender must act.");
}

static void say_discarded(struct buffer *out, const struct trace_entry *e,
                          const struct trace_event *by)
{
    bool removed = by && by->kind == EVENT_REMOVED;

    buffer_printf(out, "%s", removed ? "Removed" : "Discarded");
    put_time(out, " at ", e->since_us);
    if (removed && by->actor_uid != EVENT_NO_ACTOR)
        buffer_printf(out, " by the local user with uid %u", by->actor_uid);
    if (by)
        put_detail(out, " by the rule ", by->detail);
    if (by)
        put_quoted(out, ": ", by->reply);
    say_doubt(out, e, all_the_same);
    buffer_printf(out, "; %sask the administrator of this server.",
                  was_uncertain(e) ? "" : "nobody will get it, ");
}

/* The time is a bound: a ledger that was made anew has no better one. */
static void say_closed(struct buffer *out, const struct trace_entry *e)
{
    put_time(out, "Delivered, handed on, returned or discarded before ", e->since_us);
    buffer_printf(out, "; which of these, only the ledger of before knew, in whose place this one"
                       " was made from what the log still had. Nothing waits here; the server's own"
                       " log of that time may tell.");
}

/* By an administrator's word; whether it had arrived, nobody can say. */
static void say_lost(struct buffer *out, const struct trace_entry *e, const struct trace_event *by)
{
    buffer_printf(out, "Lost: it waited here, and the queue didn't have it any more; so noted");
    put_time(out, " at ", e->since_us);
    if (by && by->actor_uid != EVENT_NO_ACTOR)
        buffer_printf(out, " by the local user with uid %u", by->actor_uid);
    if (by)
        put_quoted(out, ": ", by->reply);
    say_doubt(out, e, all_the_same);
    buffer_printf(out, "; nobody will get it from here, ask the administrator of this server.");
}

/* Only a person moves it on, so no next attempt is named. */
static void say_held(struct buffer *out, const struct trace_entry *e,
                     const struct trace_event *held)
{
    put_time(out, "Held here since ", held->time_us);
    if (held->actor_uid != EVENT_NO_ACTOR)
        buffer_printf(out, " by the local user with uid %u", held->actor_uid);
    put_quoted(out, " because ", held->reply);
    put_detail(out, held->reply.size ? ", " : " because ", held->detail);
    say_doubt(out, e, "it may have arrived already");
    buffer_printf(out, "; the administrator of this server must release, return or remove it.");
}

/* What is due waits for its destination's turn. */
static void say_next(struct buffer *out, const struct trace_entry *e, int64_t now_us)
{
    if (e->next_attempt_us == 0)
        return;
    if (e->next_attempt_us <= now_us)
        buffer_printf(out, ", the next attempt is due");
    else
        put_time(out, ", the next attempt is at ", e->next_attempt_us);
}

/* Until somebody lets it go again. Its end is booked when its sender was told. */
static bool is_given_up(const struct trace_entry *e)
{
    for (size_t i = e->event_count; i-- > 0;) {
        unsigned kind = e->events[i].kind;
        if (kind == EVENT_EXPIRED)
            return true;
        if (kind == EVENT_DEFERRED || kind == EVENT_UNCERTAIN || kind == EVENT_RELEASED ||
            kind == EVENT_RETRIED || kind == EVENT_REROUTED)
            return false;
    }
    return false;
}

static void say_trouble(struct buffer *out, const struct trace_event *trouble)
{
    bool uncertain = trouble->kind == EVENT_UNCERTAIN;

    buffer_printf(out, uncertain ? " because the acknowledgement of " : " because ");
    if (trouble->host.size || trouble->ip.size)
        put_station(out, trouble);
    else
        buffer_printf(out, "the last attempt");
    if (uncertain)
        buffer_printf(out, " was lost (it may have arrived already)");
    else if (trouble->reply.size)
        put_quoted(out, event_is_reply(trouble->reply) ? " said " : " failed with ",
                   trouble->reply);
    else
        buffer_printf(out, " failed");
}

static void say_tried(struct buffer *out, const struct trace_entry *e,
                      const struct trace_event *trouble, int64_t now_us)
{
    say_trouble(out, trouble);
    say_next(out, e, now_us);
    if (trouble->kind != EVENT_UNCERTAIN)
        say_doubt(out, e, "it may have arrived already");
    if (is_given_up(e)) {
        buffer_printf(out, "; it was given up, and this server is about to tell its sender.");
        return;
    }
    buffer_printf(out, "; this server keeps trying");
    if (trouble->host.size) {
        buffer_printf(out, ", and the administrator of ");
        printable_append(out, trouble->host);
        buffer_printf(out, " can mend it");
    }
    buffer_printf(out, ".");
}

/* A first attempt that failed for good is booked with the return that it leads to (or is under way
 * just now), so without an event nothing can be said of attempts. */
static void say_waiting(struct buffer *out, const struct trace_entry *e, int64_t now_us)
{
    const struct trace_event *trouble = trace_trouble(e);
    char age[32];

    clock_format_between(e->since_us, now_us, age);
    put_time(out, "Waiting here since ", e->since_us);
    buffer_printf(out, " (%s)", age);
    if (trouble) {
        say_tried(out, e, trouble, now_us);
        return;
    }
    buffer_printf(out, ", no attempt's outcome is booked yet");
    say_next(out, e, now_us);
    buffer_printf(out, "; this server is responsible.");
}

int trace_sentence(const struct trace_message *m, const struct trace_entry *e, int64_t now_us,
                   struct buffer *out)
{
    const struct trace_event *by = trace_holder(e), *held = trace_held(e);

    switch (e->state) {
    case RECIPIENT_DELIVERED:
        say_delivered(out, e, by);
        break;
    case RECIPIENT_RELAYED:
        say_relayed(out, e, by);
        break;
    case RECIPIENT_EXPANDED:
        say_expanded(out, e);
        break;
    case RECIPIENT_RETURNED:
        say_returned(out, m, e, by);
        break;
    case RECIPIENT_DISCARDED:
        if (trace_is_duplicate(e))
            say_duplicate(out, m, e);
        else
            say_discarded(out, e, by);
        break;
    case RECIPIENT_CLOSED:
        say_closed(out, e);
        break;
    case RECIPIENT_LOST:
        say_lost(out, e, by);
        break;
    default:
        if (held)
            say_held(out, e, held);
        else
            say_waiting(out, e, now_us);
    }
    return buffer_error(out);
}
