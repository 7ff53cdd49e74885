/*
 * Questions stand in a list in the order of their commands, answered or not; answers are acted on
 * from its front, so replies leave in order although several recipients are asked about at once.
 */
#include "smtp/server/session.h"

#include <assert.h>
#include <stdlib.h>

/* The answer may come within ask(): then the question is gone when that returns. */
static void ask(struct smtp_server *s, enum smtp_question_kind kind, struct span address,
                struct span given, const struct envelope_wish *wish)
{
    static const struct smtp_answer unavailable = {.verdict = SMTP_DEFER};
    struct smtp_question *q = calloc(1, sizeof(*q) + s->backend->question_extra);

    if (!q) {
        if (kind == SMTP_ASK_MESSAGE && s->transaction.message.uploaded)
            s->backend->upload_abort(s->context); /* it was handed over to nobody */
        smtp_close(s, &smtp_no_memory_closing);
        return;
    }
    q->kind = kind;
    q->server = s;
    q->address = address;
    q->given = given;
    if (wish)
        q->wish = *wish;
    if (kind == SMTP_ASK_MESSAGE)
        q->message = &s->transaction.message;
    list_append(&s->questions, &q->link);
    s->question_count++;
    s->progress_ms = s->time->monotonic_ms;
    if (s->backend->ask(s->context, q) < 0)
        smtp_question_answer(q, &unavailable);
}

void smtp_ask(struct smtp_server *s, enum smtp_question_kind kind, struct span address)
{
    ask(s, kind, address, SPAN(""), NULL);
}

void smtp_ask_recipient(struct smtp_server *s, struct span address, struct span given,
                        const struct envelope_wish *wish)
{
    ask(s, SMTP_ASK_RECIPIENT, address, given, wish);
}

static void forget(struct smtp_server *s, struct smtp_question *q)
{
    list_remove(&q->link);
    s->question_count--;
}

/* An answered one isn't the backend's any more: it only waited for those before it. */
void smtp_questions_cancel(struct smtp_server *s)
{
    while (!list_is_empty(&s->questions)) {
        struct smtp_question *q = CONTAINER_OF(s->questions.next, struct smtp_question, link);
        forget(s, q);
        if (!q->answered)
            s->backend->cancel(s->context, q);
        free(q);
    }
}

/* Copies all texts: the backend's are gone when it returns, and this one may wait for
 * those before it. */
static void keep_answer(struct smtp_question *q, const struct smtp_answer *answer)
{
    struct span text = span_first(answer->text, sizeof(q->answer_text) - 1);

    q->answer = *answer;
    if (text.size)
        memcpy(q->answer_text, text.data, text.size);
    q->answer.text = span_of(q->answer_text, text.size);
    struct span address = span_first(answer->address, sizeof(q->answer_address));
    if (address.size)
        memcpy(q->answer_address, address.data, address.size);
    q->answer.address = span_of(q->answer_address, address.size);
    q->answered = true;
}

static void act_on(struct smtp_server *s, struct smtp_question *q)
{
    switch (q->kind) {
    case SMTP_ASK_CLIENT:
        smtp_on_client_answer(s, &q->answer);
        break;
    case SMTP_ASK_SENDER:
        smtp_on_sender_answer(s, &q->answer);
        break;
    case SMTP_ASK_RECIPIENT:
        smtp_on_recipient_answer(s, q);
        break;
    case SMTP_ASK_MESSAGE:
        smtp_on_message_answer(s, &q->answer);
        break;
    }
}

/* Answers may come in any order; replies leave in the order of the commands (RFC 2920 3.2). */
void smtp_question_answer(struct smtp_question *question, const struct smtp_answer *answer)
{
    struct smtp_server *s = question->server;

    assert(!question->answered);
    keep_answer(question, answer);
    while (!list_is_empty(&s->questions)) {
        struct smtp_question *q = CONTAINER_OF(s->questions.next, struct smtp_question, link);
        if (!q->answered)
            break;
        forget(s, q);
        act_on(s, q);
        free(q);
    }
    smtp_server_answered(s);
}

struct smtp_reply smtp_answer_reply(const struct smtp_answer *answer,
                                    const struct smtp_reply *defer, const struct smtp_reply *reject)
{
    struct smtp_reply reply = answer->verdict == SMTP_DEFER ? *defer : *reject;

    if (answer->text.size)
        reply.text = answer->text.data; /* keep_answer() has put a NUL behind it */
    return reply;
}
