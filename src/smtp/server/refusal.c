/*
 * What is refused is booked: one event each, with the reply as it was sent, under the id that the
 * reply names. So whoever is asked "why?" can look it up. The same place counts what ends a
 * session: commands that were wrong, and recipients that nobody has.
 */
#include "smtp/server/session.h"

#include <stdio.h>

const struct smtp_reply smtp_too_large = {552, "5.3.4", "the message is larger than we take"};
const struct smtp_reply smtp_no_recipients = {554, "5.5.1", "no recipient was accepted"};
const struct smtp_reply smtp_no_memory = {451, "4.3.0", "out of memory, please try later"};
const struct smtp_reply smtp_no_memory_closing = {421, "4.3.0", "out of memory, please try later"};
static const struct smtp_reply too_many_refusals = {
    421, "4.7.0", "too many refused recipients, closing the connection"};
static const struct smtp_reply too_many_errors = {421, "4.7.0",
                                                  "too many errors, closing the connection"};

/* Bytes, so that both and the reference fit SMTP_REPLY_TEXT_MAX. */
enum { QUOTED_ADDRESS_MAX = 120, REASON_MAX = 256, USER_SIZE = 16 };

/* Who it is by the kernel's word; a local user has no address. */
static struct span name_user(const struct smtp_server *s, char out[static USER_SIZE])
{
    if (s->client.uid == UINT32_MAX)
        return span_of("", 0);
    return span_of(out, (size_t)snprintf(out, USER_SIZE, "uid %u", s->client.uid));
}

static void book(struct smtp_server *s, const struct smtp_refusal *refusal, const struct id *id,
                 struct span reply)
{
    char user[USER_SIZE];
    struct event event = {
        .kind = EVENT_REFUSED,
        .time_us = s->time->wall_us,
        .count = 1,
        .reference = *id,
        .session = s->client.session,
        .recipient_index = EVENT_NO_RECIPIENT,
        .port = s->client.port,
        .actor_uid = EVENT_NO_ACTOR,
        .service = s->settings->service,
        .helo = buffer_span(&s->helo),
        .auth = name_user(s, user),
        .sender = refusal->sender.data ? refusal->sender : s->transaction.envelope.sender,
        .recipient = refusal->recipient,
        .phase = span_from_cstr(refusal->phase),
        .reply = reply,
    };
    memcpy(event.ip, s->client.ip, sizeof(event.ip));
    event.sender = span_first(event.sender, ENVELOPE_ADDRESS_MAX);
    event.recipient = span_first(event.recipient, ENVELOPE_ADDRESS_MAX);
    s->backend->refused(s->context, &event);
}

/* RFC 5321 section 4.2.3: the client, not the mail, did something wrong. */
static bool is_bad_command(unsigned code)
{
    return code == 501 || code == 503 || code == 555;
}

static void end(struct smtp_server *s, const struct smtp_reply *reply)
{
    smtp_refuse(s, &(struct smtp_refusal){.phase = "connect", .reply = *reply});
    smtp_close(s, NULL);
}

void smtp_count_error(struct smtp_server *s)
{
    uint32_t max = s->settings->errors_max;

    if (max && s->errors < max && ++s->errors == max)
        end(s, &too_many_errors);
}

void smtp_expect_orphans(struct smtp_server *s)
{
    s->orphans_left = s->settings->recipients_max + SMTP_IDLE_COMMANDS_MAX;
}

void smtp_say_without_mail(struct smtp_server *s, const struct smtp_reply *reply)
{
    smtp_say(s, reply);
    if (s->orphans_left)
        s->orphans_left--;
    else
        smtp_count_error(s);
}

/* Who harvests addresses is a stranger. One of ours who writes to many of whom some have left would
 * reach none of the rest. */
static void count_refusal(struct smtp_server *s)
{
    uint32_t max = s->trusted ? 0 : s->settings->refusals_max;

    if (max && s->refusals < max && ++s->refusals == max)
        end(s, &too_many_refusals);
}

/* Written before it is booked, so that the book has the line as the client reads it; without memory
 * for it there is no event, and the session ends. */
void smtp_refuse(struct smtp_server *s, const struct smtp_refusal *refusal)
{
    struct id id = s->backend->make_id(s->context);
    char reference[ID_TEXT + 1], text[SMTP_REPLY_TEXT_MAX];
    struct smtp_reply reply = refusal->reply;
    struct span address = span_first(refusal->address, QUOTED_ADDRESS_MAX);
    size_t start = s->out.size;

    id_format(&id, reference);
    bool bare = address.size && !refusal->unparsed;
    snprintf(text, sizeof(text), "%s" SPAN_FMT "%s%.*s (reference %s)", bare ? "<" : "",
             SPAN_ARG(address),
             bare           ? ">: "
             : address.size ? ": "
                            : "",
             REASON_MAX, reply.text, reference);
    reply.text = text;
    smtp_say(s, &reply);
    if (buffer_error(&s->out) == 0)
        book(s, refusal, &id, span_of(s->out.data + start, s->out.size - start - 2));
    if (is_bad_command(reply.code))
        smtp_count_error(s);
    /* "Later" is our own trouble or limit, not the client's fault. */
    else if (refusal->recipient.size && reply.code >= 500)
        count_refusal(s);
}
