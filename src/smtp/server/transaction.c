/*
 * From the end of a body to its verdict, and the reset that ends each transaction. The 250 is said
 * in one place only: on the answer ACCEPT to ASK_MESSAGE, which the backend gives when the message
 * is on disk.
 */
#include "mail/received.h"
#include "smtp/server/body.h"

#include <errno.h>

static const struct smtp_reply not_wanted = {554, "5.7.1", "the message was refused"};

/* A limit may be lowered while a body comes: then later is as bad as now. Whoever says so has to
 * mean the limit in force. */
const struct smtp_reply *smtp_storage_reply(int error)
{
    static const struct smtp_reply
        full = {452, "4.3.1", "the disk is full, please try later"},
        too_many = {451, "4.3.2", "too many large messages at the same time, please try later"},
        other = {451, "4.3.0", "the message could not be stored, please try later"};

    switch (error) {
    case -ENOSPC:
        return &full;
    case -EMSGSIZE:
        return &smtp_too_large;
    case -EUSERS:
        return &too_many;
    default:
        return &other;
    }
}

void smtp_transaction_reset(struct smtp_server *s)
{
    smtp_body_free(s->body);
    s->body = NULL;
    arena_done(&s->transaction.arena);
    buffer_done(&s->transaction.header);
    s->transaction = (struct smtp_transaction){0};
}

enum smtp_state smtp_resting_state(const struct smtp_server *s)
{
    return s->helo.size ? SMTP_STATE_READY : SMTP_STATE_GREETED;
}

static void refuse_message(struct smtp_server *s, const char *phase, const struct smtp_reply *reply)
{
    smtp_refuse(s, &(struct smtp_refusal){.phase = phase, .reply = *reply});
    if (s->state == SMTP_STATE_CLOSING)
        return;
    smtp_transaction_reset(s);
    smtp_state_set(s, smtp_resting_state(s));
}

/* COMMIT comes before the problems are looked at: the rest of an upload may have to wait for the
 * backend, and smtp_server_resume() goes on from there. */
void smtp_message_end(struct smtp_server *s)
{
    smtp_body_finish(s->body);
    smtp_state_set(s, SMTP_STATE_COMMIT);
    smtp_commit(s);
}

/* RFC 3848, and RFC 6531 section 4.3. */
static struct span protocol_of(const struct smtp_server *s)
{
    if (s->transaction.envelope.smtputf8)
        return SPAN("UTF8SMTP");
    return s->extended ? SPAN("ESMTP") : SPAN("SMTP");
}

static void complete_envelope(struct smtp_server *s)
{
    struct envelope *e = &s->transaction.envelope;

    e->id = s->backend->make_id(s->context);
    e->accepted_us = s->time->wall_us;
    e->client.session = s->client.session;
    memcpy(e->client.ip, s->client.ip, sizeof(e->client.ip));
    e->client.port = s->client.port;
    e->client.uid = s->client.uid;
    e->client.service = s->settings->service;
    e->client.helo = buffer_span(&s->helo);
    e->client.protocol = protocol_of(s);
}

/* The id and the time are made here, not at MAIL: they tell when we took responsibility (RFC 5321
 * section 4.2.5), and a session may have named its sender hours before. */
void smtp_commit(struct smtp_server *s)
{
    struct smtp_transaction *t = &s->transaction;

    if (!smtp_body_flush_upload(s->body))
        return;
    const struct smtp_reply *problem = smtp_body_problem(s->body);
    if (problem) {
        refuse_message(s, "body", problem);
        return;
    }
    complete_envelope(s);
    if (received_write(&t->envelope, s->settings->hostname, &t->header) < 0) {
        refuse_message(s, "body", smtp_storage_reply(0));
        return;
    }
    smtp_body_hand_over(s->body, &t->envelope, &t->message);
    t->message.header = buffer_span(&t->header);
    t->message.tickets = span_of(t->tickets[0], t->envelope.recipient_count * SMTP_TICKET_BYTES);
    smtp_ask(s, SMTP_ASK_MESSAGE, span_of("", 0));
}

/* RFC 5321 section 4.2.5: with 250 we are responsible for the message, and the client forgets it.
 */
void smtp_on_message_answer(struct smtp_server *s, const struct smtp_answer *answer)
{
    char id[ID_TEXT + 1];
    struct smtp_reply reply =
        smtp_answer_reply(answer, smtp_storage_reply(answer->error), &not_wanted);

    if (answer->verdict != SMTP_ACCEPT) {
        refuse_message(s, "data", &reply);
        return;
    }
    id_format(&s->transaction.envelope.id, id);
    buffer_printf(&s->out, "250 2.0.0 queued as %s\r\n", id);
    s->errors = s->idle_commands = 0;
    smtp_transaction_reset(s);
    smtp_state_set(s, SMTP_STATE_READY);
}
