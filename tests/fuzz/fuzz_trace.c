/* A trace of anything: for people it holds no control but line ends, for programs each line is
 * JSON, and there is a sentence for every recipient. Input: numbers and texts, in the order in
 * which they are taken below. */
#include "fuzz_fill.h"

#include "book/trace.h"
#include <jansson.h>

enum { ENTRIES_MAX = 4, EVENTS_MAX = 4, TEXT_MAX = 300 };

static int64_t take_time(struct span *in)
{
    int64_t time_us;
    uint8_t small = fuzz_take(in);

    if (small < FUZZ_RAW)
        return INT64_C(1795284003120000) + small * INT64_C(1000000000);
    fuzz_take_bytes(in, &time_us, sizeof(time_us));
    return time_us;
}

static struct span take_text(struct span *in, struct arena *arena)
{
    struct span text = fuzz_take_span(in, arena, TEXT_MAX);
    return text.size ? text : span_of(NULL, 0); /* erased */
}

static void *take_list(struct span *in, struct arena *arena, size_t most, size_t size, size_t *out)
{
    *out = fuzz_take(in) % (most + 1);
    void *list = arena_alloc_array(arena, *out + 1, size);
    assert(list);
    memset(list, 0, (*out + 1) * size);
    return list;
}

static void take_event(struct span *in, struct arena *arena, struct trace_event *e)
{
    e->kind = fuzz_take(in) % (EVENT_KIND_COUNT + 1);
    e->time_us = take_time(in);
    e->next_attempt_us = take_time(in);
    e->host = take_text(in, arena);
    e->ip = span_first(take_text(in, arena), 16);
    e->reply = take_text(in, arena);
    e->status = take_text(in, arena);
    e->remote_id = take_text(in, arena);
    e->tls = take_text(in, arena);
    e->detail = take_text(in, arena);
    e->actor_uid = fuzz_take(in) ? EVENT_NO_ACTOR : 1000;
}

static void take_entry(struct span *in, struct arena *arena, struct trace_entry *e)
{
    e->index = fuzz_take(in);
    e->parent = fuzz_take(in) % 4 ? EVENT_NO_RECIPIENT : 0;
    e->address = take_text(in, arena);
    e->original = take_text(in, arena);
    e->state = fuzz_take(in) % (RECIPIENT_STATE_COUNT + 1);
    e->since_us = take_time(in);
    e->next_attempt_us = take_time(in);
    e->events = take_list(in, arena, EVENTS_MAX, sizeof(*e->events), &e->event_count);
    for (size_t i = 0; i < e->event_count; i++)
        take_event(in, arena, &e->events[i]);
    e->child_count = fuzz_take(in) % 3;
}

static void take_message(struct span *in, struct arena *arena, struct trace_message *m)
{
    m->accepted_us = take_time(in);
    m->sender = take_text(in, arena);
    m->message_id = take_text(in, arena);
    m->size_bytes = fuzz_take(in);
    m->helo = take_text(in, arena);
    m->ip = span_first(take_text(in, arena), 16);
    m->service = take_text(in, arena);
    m->protocol = take_text(in, arena);
    m->tls = take_text(in, arena);
    m->auth = take_text(in, arena);
    m->uid = fuzz_take(in) ? EVENT_NO_ACTOR : 1000;
    m->entries = take_list(in, arena, ENTRIES_MAX, sizeof(*m->entries), &m->entry_count);
    for (size_t i = 0; i < m->entry_count; i++)
        take_entry(in, arena, &m->entries[i]);
}

static void take_refusal(struct span *in, struct arena *arena, struct trace_refusal *r)
{
    r->time_us = take_time(in);
    r->until_us = take_time(in);
    r->count = fuzz_take(in);
    r->ip = span_first(take_text(in, arena), 16);
    r->service = take_text(in, arena);
    r->helo = take_text(in, arena);
    r->tls = take_text(in, arena);
    r->auth = take_text(in, arena);
    r->sender = take_text(in, arena);
    r->recipient = take_text(in, arena);
    r->phase = take_text(in, arena);
    r->reply = take_text(in, arena);
}

FUZZ_UNSEEN static void check_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        assert(c == '\n' || (c >= ' ' && c != 127));
    }
}

static void check_json(struct span text)
{
    while (text.size) {
        ptrdiff_t lf = span_find(text, '\n');
        assert(lf > 0);
        json_t *value = json_loadb(text.data, (size_t)lf, JSON_ALLOW_NUL, NULL);
        assert(json_is_object(value));
        json_decref(value);
        text = span_from(text, (size_t)lf + 1);
    }
}

static void check_entries(const struct trace_message *m, int64_t now_us)
{
    struct buffer out = BUFFER_INIT;

    for (size_t i = 0; i < m->entry_count; i++) {
        buffer_clear(&out);
        assert(trace_sentence(m, &m->entries[i], now_us, &out) == 0 && out.size > 0);
        assert(span_find(buffer_span(&out), '\n') < 0);
        check_text(buffer_span(&out));
        for (size_t k = 0; k < m->entries[i].event_count; k++) {
            buffer_clear(&out);
            assert(trace_text_event(m, &m->entries[i], &m->entries[i].events[k], &out) == 0);
            check_text(buffer_span(&out));
        }
    }
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct trace_style plain = {"", "", "", "", ""};
    struct span in = span_of(data, size);
    struct trace_result result = {0};
    struct arena arena = ARENA_INIT;
    struct buffer out = BUFFER_INIT;
    int64_t now_us = take_time(&in);

    result.messages = take_list(&in, &arena, 2, sizeof(*result.messages), &result.message_count);
    for (size_t i = 0; i < result.message_count; i++)
        take_message(&in, &arena, &result.messages[i]);
    result.refusals = take_list(&in, &arena, 2, sizeof(*result.refusals), &result.refusal_count);
    for (size_t i = 0; i < result.refusal_count; i++)
        take_refusal(&in, &arena, &result.refusals[i]);
    assert(trace_json(&result, &out) == 0);
    check_json(buffer_span(&out));
    buffer_clear(&out);
    assert(trace_text(&result, now_us, &plain, &out) == 0);
    check_text(buffer_span(&out));
    for (size_t i = 0; i < result.message_count; i++)
        check_entries(&result.messages[i], now_us);
    buffer_done(&out);
    arena_done(&arena);
    return 0;
}
