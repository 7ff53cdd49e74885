/*
 * The questions of a session, as calls to the directory and the queue. Without credit a question
 * waits for some; when the other process dies it is answered with DEFER.
 */
#include "proc/smtpd/smtpd.h"

#include <assert.h>
#include <errno.h>

/* Lives in the question's `extra`. */
struct smtpd_ask {
    struct smtp_question *question;
    struct smtpd_session *session;
    struct ipc_call call;
    struct ipc_waiter waiter;
};

static struct smtpd_ask *ask_of(struct smtp_question *question)
{
    return (struct smtpd_ask *)(void *)question->extra;
}

static void answer(struct smtpd_ask *ask, const struct smtp_answer *a)
{
    smtpd_update_time(ask->session->smtpd);
    smtp_question_answer(ask->question, a);
}

/* `error`: of a message's upload that is lost, or 0. */
static void defer(struct smtpd_ask *ask, int error)
{
    if (ask->question->kind == SMTP_ASK_MESSAGE)
        smtpd_upload_abort(ask->session);
    answer(ask, &(struct smtp_answer){.verdict = SMTP_DEFER, .error = error});
}

/* It can't be asked, or whoever was asked is gone. */
static void answer_unavailable(struct smtpd_ask *ask)
{
    defer(ask, 0);
}

/* ---- what is asked ---- */

/* The directory sees for itself who is connected: it is handed the socket. */
static int tell_of_client(struct smtpd_session *s, struct ipc_call *call)
{
    struct ipc_message m = {.type = IPC_CLIENT_CHECK, .client_check.client = s->number};
    int r = ipc_call_lending(s->smtpd->directory, call, &m, s->fd);

    if (r == 0)
        s->epoch = s->smtpd->directory_epoch;
    return r;
}

static int ask_client(struct smtpd_ask *ask)
{
    return tell_of_client(ask->session, &ask->call);
}

static void on_introduced(struct ipc_call *call, const struct ipc_message *reply)
{
    struct smtpd_session *s = CONTAINER_OF(call, struct smtpd_session, introduction);

    s->counted = reply && reply->client_verdict.action == IPC_CLIENT_ACCEPT;
}

/* To a directory that has come since: it takes calls in order, so that it knows the client when the
 * next one comes. */
static int introduce(struct smtpd_session *s)
{
    if (s->epoch == s->smtpd->directory_epoch)
        return 0;
    ipc_call_cancel(&s->introduction);
    s->introduction.fn = on_introduced;
    return tell_of_client(s, &s->introduction);
}

static int ask_recipient(struct smtpd_ask *ask)
{
    struct smtpd_session *s = ask->session;
    struct ipc_message m = {.type = IPC_RCPT_CHECK,
                            .rcpt_check = {.client = s->number,
                                           .sender = smtp_server_sender(s->server),
                                           .address = ask->question->given}};
    int r = introduce(s);

    return r < 0 ? r : ipc_call(s->smtpd->directory, &ask->call, &m);
}

/* An upload that went to a queue which is gone isn't there: the client gets 451 and sends the
 * message again. */
static int ask_message(struct smtpd_ask *ask)
{
    struct smtpd_session *s = ask->session;
    const struct smtp_message *message = ask->question->message;
    struct buffer envelope = BUFFER_INIT;

    if (message->uploaded && !smtpd_upload_is_there(s))
        return -EPIPE;
    int r = codec_encode(&envelope_codec, message->envelope, &envelope);
    if (r == 0) {
        struct ipc_message m = {.type = IPC_COMMIT,
                                .commit = {.upload = message->uploaded ? s->upload.number : 0,
                                           .envelope = buffer_span(&envelope),
                                           .tickets = message->tickets,
                                           .header = message->header,
                                           .body = message->body}};
        r = ipc_call(s->smtpd->queue, &ask->call, &m);
    }
    buffer_done(&envelope);
    return r;
}

static struct ipc_channel *channel_for(const struct smtpd_ask *ask)
{
    const struct smtpd *smtpd = ask->session->smtpd;

    return ask->question->kind == SMTP_ASK_MESSAGE ? smtpd->queue : smtpd->directory;
}

/* 0: the call is under way or waits for credit. */
static int try_call(struct smtpd_ask *ask)
{
    int r = -EPIPE;

    if (!channel_for(ask))
        return r;
    switch (ask->question->kind) {
    case SMTP_ASK_CLIENT:
        r = ask_client(ask);
        break;
    case SMTP_ASK_RECIPIENT:
        r = ask_recipient(ask);
        break;
    case SMTP_ASK_MESSAGE:
        r = ask_message(ask);
        break;
    case SMTP_ASK_SENDER:
        break;
    }
    if (r != -EAGAIN)
        return r;
    ipc_wait(channel_for(ask), &ask->waiter);
    return 0;
}

static void on_credit(struct ipc_waiter *waiter)
{
    struct smtpd_ask *ask = CONTAINER_OF(waiter, struct smtpd_ask, waiter);

    if (try_call(ask) < 0)
        answer_unavailable(ask);
}

/* ---- what is answered ---- */

static void on_client(struct smtpd_ask *ask, const struct ipc_message *reply)
{
    static const enum smtp_verdict verdicts[] = {[IPC_CLIENT_ACCEPT] = SMTP_ACCEPT,
                                                 [IPC_CLIENT_DEFER] = SMTP_DEFER,
                                                 [IPC_CLIENT_REJECT] = SMTP_REJECT};
    const struct ipc_client_verdict *v = &reply->client_verdict;

    ask->session->counted = v->action == IPC_CLIENT_ACCEPT;
    answer(ask, &(struct smtp_answer){
                    .verdict = verdicts[v->action], .trusted = v->trusted, .text = v->text});
}

/* The directory's texts are told with its own refusals only; the usual ones (unknown, foreign) have
 * the session's words. */
static void on_recipient(struct smtpd_ask *ask, const struct ipc_message *reply)
{
    static const enum smtp_verdict verdicts[] = {
        [IPC_RCPT_ACCEPT] = SMTP_ACCEPT, [IPC_RCPT_UNKNOWN] = SMTP_UNKNOWN,
        [IPC_RCPT_RELAY] = SMTP_ACCEPT,  [IPC_RCPT_DENIED] = SMTP_FOREIGN,
        [IPC_RCPT_DEFER] = SMTP_DEFER,   [IPC_RCPT_REJECT] = SMTP_REJECT};
    const struct ipc_rcpt_verdict *v = &reply->rcpt_verdict;
    struct smtp_answer a = {.verdict = verdicts[v->action],
                            .recipient_flags = v->expands ? ENVELOPE_RECIPIENT_EXPANDS : 0,
                            .members = v->expands ? v->members : 0,
                            .is_mailbox = v->action == IPC_RCPT_ACCEPT && !v->expands,
                            .address = v->address};

    static_assert((int)SMTP_TICKET_BYTES == (int)IPC_TICKET_BYTES, "carried as they are");
    memcpy(a.ticket, v->ticket, sizeof(a.ticket));
    if (a.verdict == SMTP_DEFER || a.verdict == SMTP_REJECT)
        a.text = v->text;
    ask->session->refused += a.verdict != SMTP_ACCEPT && a.verdict != SMTP_DEFER;
    answer(ask, &a);
}

static void on_message(struct smtpd_ask *ask, const struct ipc_message *reply)
{
    static const enum smtp_verdict verdicts[] = {[IPC_COMMIT_ACCEPTED] = SMTP_ACCEPT,
                                                 [IPC_COMMIT_DEFERRED] = SMTP_DEFER,
                                                 [IPC_COMMIT_REJECTED] = SMTP_REJECT};
    const struct ipc_committed *c = &reply->committed;
    struct smtpd_session *s = ask->session;

    if (ask->question->message->uploaded && c->result == IPC_COMMIT_ACCEPTED)
        smtpd_upload_forget(s);
    else
        smtpd_upload_abort(s);
    s->smtpd->accepted_messages += c->result == IPC_COMMIT_ACCEPTED;
    answer(ask, &(struct smtp_answer){.verdict = verdicts[c->result], .text = c->text});
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct smtpd_ask *ask = CONTAINER_OF(call, struct smtpd_ask, call);

    if (!reply)
        answer_unavailable(ask);
    else if (ask->question->kind == SMTP_ASK_CLIENT)
        on_client(ask, reply);
    else if (ask->question->kind == SMTP_ASK_RECIPIENT)
        on_recipient(ask, reply);
    else
        on_message(ask, reply);
}

/* ---- the backend ---- */

/* Whether new mail is taken at all is known here: the queue has said so. */
static void answer_sender(struct smtpd_ask *ask)
{
    const struct smtpd *smtpd = ask->session->smtpd;
    struct smtp_answer a = {.verdict = SMTP_ACCEPT};

    if (smtpd->pressure || !smtpd->queue)
        a = (struct smtp_answer){.verdict = SMTP_DEFER,
                                 .text = span_from_cstr(smtpd->pressure_text)};
    answer(ask, &a);
}

/* 0 also when it couldn't be asked: then it is answered, perhaps before this returns. */
static int ask(void *context, struct smtp_question *question)
{
    struct smtpd_session *s = context;
    struct smtpd_ask *a = ask_of(question);

    *a = (struct smtpd_ask){.question = question, .session = s};
    a->call.fn = on_reply;
    a->waiter.fn = on_credit;
    if (question->kind == SMTP_ASK_SENDER) {
        answer_sender(a);
        return 0;
    }
    if (question->kind == SMTP_ASK_MESSAGE && question->message->uploaded &&
        smtpd_upload_is_pending(s)) {
        s->commit = a;
    } else if (try_call(a) < 0) {
        answer_unavailable(a);
    }
    return 0;
}

void smtpd_ask_commit(struct smtpd_session *s)
{
    struct smtpd_ask *a = s->commit;

    s->commit = NULL;
    if (s->upload.error)
        defer(a, s->upload.error);
    else if (try_call(a) < 0)
        answer_unavailable(a);
}

static void cancel(void *context, struct smtp_question *question)
{
    struct smtpd_session *s = context;
    struct smtpd_ask *a = ask_of(question);
    bool asked = ipc_call_is_pending(&a->call);

    ipc_call_cancel(&a->call);
    ipc_wait_cancel(&a->waiter);
    s->commit = NULL;
    if (question->kind == SMTP_ASK_CLIENT)
        s->counted = asked; /* perhaps: the directory knows */
    if (question->kind != SMTP_ASK_MESSAGE)
        return;
    /* A commit that was sent takes its course: the client doesn't know, so it may send the message
     * again, which is better than none. */
    if (asked)
        smtpd_upload_forget(s);
    else
        smtpd_upload_abort(s);
}

static int upload(void *context, struct span piece)
{
    return smtpd_upload_piece(context, piece);
}

static void upload_abort(void *context)
{
    smtpd_upload_abort(context);
}

static void refused(void *context, const struct event *event)
{
    struct smtpd *smtpd = ((struct smtpd_session *)context)->smtpd;

    smtpd->refusal_count++;
    smtpd_refusals_add(&smtpd->refusals, event, smtpd->time.monotonic_ms);
}

static struct id make_id(void *context)
{
    struct smtpd *smtpd = ((struct smtpd_session *)context)->smtpd;

    return id_make(&smtpd->ids, smtpd->time.wall_us);
}

static void wake(void *context)
{
    smtpd_session_wake(context);
}

const struct smtp_server_backend smtpd_backend = {
    .question_extra = sizeof(struct smtpd_ask),
    .ask = ask,
    .cancel = cancel,
    .upload = upload,
    .upload_abort = upload_abort,
    .refused = refused,
    .make_id = make_id,
    .wake = wake,
};
