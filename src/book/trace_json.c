/*
 * The JSON that programs read (docs/manual/trace.md): keys are a promise, and a golden test holds
 * the bytes. Erased values are null, unknown ones too; bytes that are no UTF-8 become U+FFFD, so
 * the line stays valid whatever came by the network.
 */
#include "book/trace.h"

#include "base/clock.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistr.h>

/* JSON is UTF-8; what a stranger sent need not be. Each byte that isn't becomes U+FFFD. */
static json_t *repaired(struct span text)
{
    struct buffer out = BUFFER_INIT;

    while (text.size) {
        const char *bad = (const char *)u8_check((const uint8_t *)text.data, text.size);
        size_t good = bad ? (size_t)(bad - text.data) : text.size;
        buffer_append(&out, text.data, good);
        if (bad)
            buffer_append_span(&out, SPAN("\xef\xbf\xbd"));
        text = span_from(text, good + (bad ? 1 : 0));
    }
    json_t *value = buffer_error(&out) ? NULL : json_stringn(out.data ? out.data : "", out.size);
    buffer_done(&out);
    return value;
}

/* null for what is unknown or erased. */
static json_t *text_or_null(struct span text)
{
    return text.size ? repaired(text) : json_null();
}

/* "" for the null sender, null for an erased one. */
static json_t *address(struct span text)
{
    return text.data ? repaired(text) : json_null();
}

static json_t *time_or_null(int64_t time_us)
{
    char text[CLOCK_RFC3339_SIZE];

    if (time_us == 0)
        return json_null();
    clock_format_rfc3339(time_us, text);
    return json_string(text);
}

static json_t *id_or_null(const struct id *id)
{
    char text[ID_TEXT + 1];

    if (id_is_zero(id))
        return json_null();
    id_format(id, text);
    return json_string(text);
}

/* The optional members last, only where they say something. */
static json_t *event_object(const struct trace_event *e)
{
    json_t *object = json_pack("{s:o,s:s,s:o,s:o,s:o,s:o,s:o}", "time", time_or_null(e->time_us),
                               "kind", event_kind_name(e->kind), "host", text_or_null(e->host),
                               "ip", text_or_null(e->ip), "reply", text_or_null(e->reply), "status",
                               text_or_null(e->status), "tls", text_or_null(e->tls));

    if (e->remote_id.size)
        json_object_set_new(object, "id", text_or_null(e->remote_id));
    if (e->detail.size)
        json_object_set_new(object, "detail", text_or_null(e->detail));
    if (e->next_attempt_us)
        json_object_set_new(object, "next_attempt", time_or_null(e->next_attempt_us));
    if (e->actor_uid != EVENT_NO_ACTOR)
        json_object_set_new(object, "uid", json_integer(e->actor_uid));
    return object;
}

/* A session's id says when it began. */
static json_t *connected_object(const struct trace_message *m)
{
    struct trace_event event = {.kind = EVENT_CONNECTED,
                                .time_us = id_time_ms(&m->session) * 1000,
                                .host = m->helo,
                                .ip = m->ip,
                                .tls = m->tls,
                                .actor_uid = EVENT_NO_ACTOR};
    json_t *object = event_object(&event);

    json_object_set_new(object, "session", id_or_null(&m->session));
    return object;
}

static json_t *events_array(const struct trace_message *m, const struct trace_entry *e)
{
    json_t *array = json_array();

    if (!id_is_zero(&m->session) && e->parent == EVENT_NO_RECIPIENT)
        json_array_append_new(array, connected_object(m));
    for (size_t i = 0; i < e->event_count; i++)
        json_array_append_new(array, event_object(&e->events[i]));
    return array;
}

/* Who has it now; null while it is with us, or with nobody. */
static json_t *holder_object(const struct trace_entry *e)
{
    const struct trace_event *by = trace_holder(e);

    if (!by || (e->state != RECIPIENT_DELIVERED && e->state != RECIPIENT_RELAYED))
        return json_null();
    return json_pack("{s:o,s:o,s:o}", "host", text_or_null(by->host), "ip", text_or_null(by->ip),
                     "id", text_or_null(by->remote_id));
}

static json_t *entry_object(const struct trace_message *m, const struct trace_entry *e)
{
    return json_pack("{s:o,s:o,s:s,s:b,s:o,s:o,s:o,s:o,s:o}", "address", address(e->address),
                     "original", address(e->original), "state", recipient_state_name(e->state),
                     "held", trace_held(e) != NULL, "since", time_or_null(e->since_us),
                     "next_attempt", time_or_null(e->next_attempt_us), "why",
                     text_or_null(trace_why(e)), "holder", holder_object(e), "events",
                     events_array(m, e));
}

static json_t *client_object(const struct trace_message *m)
{
    json_t *object =
        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "ip", text_or_null(m->ip), "helo",
                  text_or_null(m->helo), "tls", text_or_null(m->tls), "auth", text_or_null(m->auth),
                  "service", text_or_null(m->service), "protocol", text_or_null(m->protocol),
                  "session", id_or_null(&m->session));

    if (m->port)
        json_object_set_new(object, "port", json_integer(m->port));
    if (m->uid != EVENT_NO_ACTOR)
        json_object_set_new(object, "uid", json_integer(m->uid));
    return object;
}

static json_t *message_object(const struct trace_message *m)
{
    json_t *recipients = json_array();

    for (size_t i = 0; i < m->entry_count; i++)
        json_array_append_new(recipients, entry_object(m, &m->entries[i]));
    return json_pack("{s:o,s:o,s:o,s:I,s:o,s:o,s:o}", "id", id_or_null(&m->id), "message_id",
                     text_or_null(m->message_id), "sender", address(m->sender), "size",
                     (json_int_t)m->size_bytes, "received", time_or_null(m->accepted_us), "from",
                     client_object(m), "recipients", recipients);
}

static json_t *refusal_object(const struct trace_refusal *r)
{
    json_t *from =
        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "ip", text_or_null(r->ip), "helo",
                  text_or_null(r->helo), "tls", text_or_null(r->tls), "auth", text_or_null(r->auth),
                  "service", text_or_null(r->service), "session", id_or_null(&r->session));

    return json_pack("{s:o,s:s,s:o,s:o,s:I,s:o,s:o,s:o,s:o,s:o}", "reference",
                     id_or_null(&r->reference), "kind", event_kind_name(EVENT_REFUSED), "time",
                     time_or_null(r->time_us), "until", time_or_null(r->until_us), "count",
                     (json_int_t)r->count, "from", from, "sender", address(r->sender), "recipient",
                     address(r->recipient), "phase", text_or_null(r->phase), "reply",
                     text_or_null(r->reply));
}

/* Only ASCII, so that no terminal takes a stranger's text for an order. */
static int put_line(json_t *object, struct buffer *out)
{
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    json_decref(object);
    if (!line)
        return -ENOMEM;
    buffer_printf(out, "%s\n", line);
    free(line);
    return buffer_error(out);
}

int trace_json(const struct trace_result *result, struct buffer *out)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < result->refusal_count; i++)
        r = put_line(refusal_object(&result->refusals[i]), out);
    for (size_t i = 0; r == 0 && i < result->message_count; i++)
        r = put_line(message_object(&result->messages[i]), out);
    return r;
}
