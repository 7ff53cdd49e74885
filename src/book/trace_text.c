/*
 * The same for people, on a terminal: the message, each recipient with what happened to it, and the
 * sentence that says who must act. Everything that came by the network goes through
 * printable_append(): no escape sequence of a stranger reaches the terminal.
 */
#include "book/trace.h"

#include "base/clock.h"
#include "base/printable.h"

static void put(struct buffer *out, const char *before, struct span text, const char *after)
{
    if (text.size == 0)
        return;
    buffer_printf(out, "%s", before);
    printable_append(out, text);
    buffer_printf(out, "%s", after);
}

static void put_or(struct buffer *out, struct span text, const char *if_empty)
{
    if (text.size)
        printable_append(out, text);
    else
        buffer_printf(out, "%s", text.data ? if_empty : "(erased)");
}

/* Exact as long as that is readable. */
static void put_size(struct buffer *out, uint64_t size)
{
    if (size < 10240)
        buffer_printf(out, "%llu bytes", (unsigned long long)size);
    else if (size < UINT64_C(10) << 20)
        buffer_printf(out, "%.1f KiB", (double)size / 1024);
    else
        buffer_printf(out, "%.1f MiB", (double)size / (1 << 20));
}

static void put_time(struct buffer *out, int64_t time_us)
{
    char text[CLOCK_RFC3339_SIZE];

    clock_format_local(time_us, text);
    buffer_printf(out, "%s", text);
}

/* ---- the message ---- */

static void put_client(struct buffer *out, const struct trace_message *m)
{
    char session[ID_TEXT + 1];

    buffer_printf(out, "  received ");
    put_time(out, m->accepted_us);
    if (m->uid == EVENT_NO_ACTOR)
        put(out, " from ", m->helo, "");
    else
        buffer_printf(out, " from the local user with uid %u", m->uid);
    if (m->uid != EVENT_NO_ACTOR && !span_equal(m->helo, SPAN("localhost")))
        put(out, " (", m->helo, ")"); /* whose letter he handed in (cli/submit.c) */
    put(out, " [", m->ip, "]");
    put(out, ", ", m->service, "");
    put(out, ", ", m->protocol, "");
    put(out, ", ", m->tls, "");
    put(out, ", logged in as ", m->auth, "");
    if (!id_is_zero(&m->session)) {
        id_format(&m->session, session);
        buffer_printf(out, ", session %s", session);
    }
    buffer_printf(out, "\n");
}

static void put_head(struct buffer *out, const struct trace_message *m,
                     const struct trace_style *style)
{
    char id[ID_TEXT + 1];

    id_format(&m->id, id);
    buffer_printf(out, "%sMessage %s%s from ", style->bold, id, style->reset);
    put_or(out, m->sender, "<> (no sender: a report)");
    buffer_printf(out, ", ");
    put_size(out, m->size_bytes);
    put(out, ", Message-ID ", m->message_id, "");
    buffer_printf(out, "\n");
    put_client(out, m);
}

/* ---- events ---- */

/* Before a further fact: nothing may stand before it but the event's name. */
static void put_comma(struct buffer *out, size_t facts)
{
    buffer_printf(out, "%s", out->size == facts ? " " : ", ");
}

bool trace_text_way(struct span way, struct buffer *out)
{
    static const struct span hosts = {"host:", 5}, back = {"return:", 7};

    if (span_equal(way, back))
        return false;
    if (!span_starts_nocase(way, hosts)) {
        put(out, " ", way, "");
        return true;
    }
    way = span_from(way, hosts.size);
    for (const char *before = " smtp:"; way.size; before = ",smtp:") {
        ptrdiff_t comma = span_find(way, ',');
        struct span host = span_first(way, comma < 0 ? way.size : (size_t)comma);
        put(out, before, host, "");
        way = span_from(way, host.size + 1);
    }
    return true;
}

static void put_event_facts(struct buffer *out, const struct trace_event *event)
{
    buffer_printf(out, "%-10s", event_kind_name(event->kind));
    size_t before = out->size;
    if (event->kind == EVENT_REROUTED)
        trace_text_way(event->host, out); /* back to the sender is what the detail says */
    else
        put(out, " ", event->host, "");
    put(out, " [", event->ip, "]");
    if (event->kind != EVENT_ACCEPTED) /* the message's head has it */
        put(out, " ", event->tls, "");
    put(out, " (", event->detail, ")");
    put(out, out->size == before ? " " : ": ", event->reply, "");
    put(out, ", as ", event->remote_id, "");
    if (event->actor_uid != EVENT_NO_ACTOR && event->kind != EVENT_ACCEPTED) {
        put_comma(out, before);
        buffer_printf(out, "by uid %u", event->actor_uid);
    }
    if (event->next_attempt_us && event->kind != EVENT_HELD) { /* it begins when that ends */
        put_comma(out, before);
        buffer_printf(out, "next attempt ");
        put_time(out, event->next_attempt_us);
    }
    while (out->size && out->data[out->size - 1] == ' ')
        out->size--;
    buffer_printf(out, "\n");
}

static const char *state_colour(const struct trace_entry *e, const struct trace_style *style)
{
    bool lost =
        e->state == RECIPIENT_LOST || (e->state == RECIPIENT_DISCARDED && !trace_is_duplicate(e));

    return e->state == RECIPIENT_RETURNED || lost || trace_held(e) ? style->bad
           : e->state == RECIPIENT_WAITING                         ? style->bold
                                                                   : style->good;
}

static void put_entry(struct buffer *out, const struct trace_message *m,
                      const struct trace_entry *e, int64_t now_us, const struct trace_style *style)
{
    buffer_printf(out, "\n  to ");
    put_or(out, e->address, "<>");
    if (!span_equal(e->address, e->original))
        put(out, " (for ", e->original, ")");
    buffer_printf(out, ": %s%s%s\n", state_colour(e, style),
                  trace_held(e) ? "waiting (held)" : recipient_state_name(e->state), style->reset);
    for (size_t i = 0; i < e->event_count; i++) {
        buffer_printf(out, "    %s", style->dim);
        put_time(out, e->events[i].time_us);
        buffer_printf(out, "%s  ", style->reset);
        put_event_facts(out, &e->events[i]);
    }
    buffer_printf(out, "  %s", style->bold);
    trace_sentence(m, e, now_us, out);
    buffer_printf(out, "%s\n", style->reset);
}

int trace_text_event(const struct trace_message *m, const struct trace_entry *e,
                     const struct trace_event *event, struct buffer *out)
{
    char id[ID_TEXT + 1];

    id_format(&m->id, id);
    put_time(out, event->time_us);
    buffer_printf(out, "  %s ", id);
    put_or(out, e->address, "<>");
    buffer_printf(out, " ");
    put_event_facts(out, event);
    return buffer_error(out);
}

/* ---- refusals ---- */

/* Who was answered, and so has the message. */
enum teller { BY_STATION, BY_PROGRAM, BY_DROP_FOLDER };

/* The name is the one that cli/submit.c gives when it collects a letter. */
static enum teller teller_of(const struct trace_refusal *r)
{
    static const struct span collector = {".drop-folder", 12};

    if (!span_equal(r->service, SPAN("local")))
        return BY_STATION;
    return r->helo.size > collector.size &&
                   span_equal(span_from(r->helo, r->helo.size - collector.size), collector)
               ? BY_DROP_FOLDER
               : BY_PROGRAM;
}

/* RFC 5321 4.2.1: a 4yz reply leaves the message with who sent it, to be tried again; after any
 * other he must tell his sender. Either way it never was in the queue. Under which name a letter
 * lies in the drop folder only the log knows. */
static void put_refusal_sentence(struct buffer *out, const struct trace_refusal *r)
{
    static const char *const sentences[][2] = {
        [BY_STATION] = {"Not accepted: this server never had it, the sending station must tell the "
                        "sender; ask its administrator.",
                        "Not accepted for now: the sending station keeps it and must try again; "
                        "ask its administrator."},
        [BY_PROGRAM] = {"Not accepted: the program of this machine that sent it was told so, and "
                        "must tell its user.",
                        "Not accepted for now: the program of this machine that sent it was told "
                        "so, keeps it and must try again."},
        [BY_DROP_FOLDER] =
            {"Not accepted: it was left in the drop folder, and is set aside there as aside.…, the "
             "log says which. Nobody was told of this; the administrator of this server must act.",
             "Not accepted for now: it was left in the drop folder, waits there and is tried again "
             "for a day; the log says how it went."},
    };
    bool for_now = r->reply.size && r->reply.data[0] == '4';

    buffer_printf(out, "  %s\n", sentences[teller_of(r)][for_now]);
}

static void put_refusal(struct buffer *out, const struct trace_refusal *r,
                        const struct trace_style *style)
{
    char id[ID_TEXT + 1];

    id_format(&r->reference, id);
    buffer_printf(out, "%sRefusal %s%s ", style->bold, id, style->reset);
    put_time(out, r->time_us);
    put(out, " of ", r->helo, "");
    put(out, " (", r->auth, ")");
    put(out, " [", r->ip, "]");
    put(out, " at ", r->phase, "");
    buffer_printf(out, "\n  ");
    put(out, "from ", r->sender, " ");
    put(out, "to ", r->recipient, " ");
    if (!id_is_zero(&r->session)) {
        id_format(&r->session, id);
        buffer_printf(out, "in session %s", id);
    }
    put(out, "\n  answered: ", r->reply, "");
    buffer_printf(out, "\n");
    if (r->count > 1) {
        buffer_printf(out, "  and %u more like it until ", r->count - 1);
        put_time(out, r->until_us);
        buffer_printf(out, "\n");
    }
    put_refusal_sentence(out, r);
}

int trace_text(const struct trace_result *result, int64_t now_us, const struct trace_style *style,
               struct buffer *out)
{
    for (size_t i = 0; i < result->refusal_count; i++) {
        buffer_printf(out, "%s", i ? "\n" : "");
        put_refusal(out, &result->refusals[i], style);
    }
    for (size_t i = 0; i < result->message_count; i++) {
        const struct trace_message *m = &result->messages[i];
        buffer_printf(out, "%s", i || result->refusal_count ? "\n" : "");
        put_head(out, m, style);
        for (size_t k = 0; k < m->entry_count; k++)
            put_entry(out, m, &m->entries[k], now_us, style);
    }
    return buffer_error(out);
}
