/*
 * Names and meaning of events and states. The tables are indexed by numbers that are on disk: a new
 * kind gets a new number at the end, its name here, and if it ends a recipient, a row in `closing`.
 */
#include "mail/event.h"

CODEC_DEFINE(, event_codec, struct event, CODEC_UINT(struct event, kind, EVENT_KIND_COUNT - 1),
             CODEC_INT(struct event, time_us), CODEC_INT(struct event, until_us),
             CODEC_UINT(struct event, count, UINT32_MAX), CODEC_FIXED(struct event, reference),
             CODEC_FIXED(struct event, session), CODEC_FIXED(struct event, message),
             CODEC_UINT(struct event, recipient_index, UINT32_MAX), CODEC_FIXED(struct event, key),
             CODEC_FIXED(struct event, ip), CODEC_UINT(struct event, port, UINT16_MAX),
             CODEC_UINT(struct event, actor_uid, UINT32_MAX), CODEC_SPAN(struct event, service, 32),
             CODEC_SPAN(struct event, helo, ENVELOPE_TEXT_MAX), CODEC_SPAN(struct event, tls, 128),
             CODEC_SPAN(struct event, auth, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct event, sender, ENVELOPE_TEXT_MAX),
             CODEC_SPAN(struct event, recipient, ENVELOPE_TEXT_MAX),
             CODEC_SPAN(struct event, phase, EVENT_PHASE_MAX),
             CODEC_SPAN(struct event, reply, EVENT_REPLY_MAX));

static const char *const kind_names[EVENT_KIND_COUNT] = {
    [EVENT_CONNECTED] = "connected",
    [EVENT_REFUSED] = "refused",
    [EVENT_ACCEPTED] = "accepted",
    [EVENT_EXPANDED] = "expanded",
    [EVENT_ATTEMPTED] = "attempted",
    [EVENT_DEFERRED] = "deferred",
    [EVENT_RELAYED] = "relayed",
    [EVENT_DELIVERED] = "delivered",
    [EVENT_UNCERTAIN] = "uncertain",
    [EVENT_RETURNED] = "returned",
    [EVENT_EXPIRED] = "expired",
    [EVENT_DISCARDED] = "discarded",
    [EVENT_DUPLICATE] = "duplicate",
    [EVENT_HELD] = "held",
    [EVENT_RELEASED] = "released",
    [EVENT_NOTIFIED] = "notified",
    [EVENT_REROUTED] = "rerouted",
    [EVENT_REMOVED] = "removed",
    [EVENT_RETRIED] = "retried",
    [EVENT_DAMAGED] = "damaged",
    [EVENT_ALARM] = "alarm",
    [EVENT_CLOSED] = "closed",
    [EVENT_ACKNOWLEDGED] = "acknowledged",
    [EVENT_LOST] = "lost",
};

static const char *const state_names[RECIPIENT_STATE_COUNT] = {
    [RECIPIENT_WAITING] = "waiting",   [RECIPIENT_DELIVERED] = "delivered",
    [RECIPIENT_RELAYED] = "relayed",   [RECIPIENT_EXPANDED] = "expanded",
    [RECIPIENT_RETURNED] = "returned", [RECIPIENT_DISCARDED] = "discarded",
    [RECIPIENT_CLOSED] = "closed",     [RECIPIENT_LOST] = "lost",
};

/* A removed or duplicate message is gone by a rule or a person's order: "discarded". */
static const enum recipient_state closing[EVENT_KIND_COUNT] = {
    [EVENT_EXPANDED] = RECIPIENT_EXPANDED,   [EVENT_RELAYED] = RECIPIENT_RELAYED,
    [EVENT_DELIVERED] = RECIPIENT_DELIVERED, [EVENT_RETURNED] = RECIPIENT_RETURNED,
    [EVENT_DISCARDED] = RECIPIENT_DISCARDED, [EVENT_DUPLICATE] = RECIPIENT_DISCARDED,
    [EVENT_REMOVED] = RECIPIENT_DISCARDED,   [EVENT_CLOSED] = RECIPIENT_CLOSED,
    [EVENT_LOST] = RECIPIENT_LOST,
};

const char *event_kind_name(unsigned kind)
{
    return kind < EVENT_KIND_COUNT && kind_names[kind] ? kind_names[kind] : "unknown";
}

const char *recipient_state_name(unsigned state)
{
    return state < RECIPIENT_STATE_COUNT && state_names[state] ? state_names[state] : "unknown";
}

enum recipient_state recipient_state_parse(struct span word)
{
    for (unsigned i = 1; i < RECIPIENT_STATE_COUNT; i++)
        if (span_equal_nocase(word, span_from_cstr(state_names[i])))
            return (enum recipient_state)i;
    return 0;
}

bool event_kind_closes(unsigned kind, enum recipient_state *out_state)
{
    if (kind >= EVENT_KIND_COUNT || closing[kind] == 0)
        return false;
    *out_state = closing[kind];
    return true;
}

/* RFC 5321 4.2: three digits, the first 2 to 5, then a blank, a hyphen or the end. */
bool event_is_reply(struct span text)
{
    for (size_t i = 0; i < 3; i++)
        if (i >= text.size || text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.data[0] >= '2' && text.data[0] <= '5' &&
           (text.size == 3 || text.data[3] == ' ' || text.data[3] == '-');
}

static size_t digits_at(struct span s)
{
    size_t count = 0;

    while (count < s.size && s.data[count] >= '0' && s.data[count] <= '9')
        count++;
    return count;
}

bool event_status_fits(struct span status, const char *pattern)
{
    for (; *pattern; pattern++) {
        size_t size = *pattern == '?' ? digits_at(status) : status.size && *status.data == *pattern;
        if (size == 0)
            return false;
        status = span_from(status, size);
    }
    return status.size == 0;
}
