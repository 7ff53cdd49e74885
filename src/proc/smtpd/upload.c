/*
 * A large body on its way to the queue: up to SMTPD_UPLOAD_CALLS_MAX chunks without an answer. A
 * chunk is answered when the spool has room for more, so a slow disk slows the client and nothing
 * piles up here.
 */
#include "proc/smtpd/smtpd.h"

#include <errno.h>

static struct smtpd_session *session_of(struct smtpd_upload *upload)
{
    return CONTAINER_OF(upload, struct smtpd_session, upload);
}

static struct smtpd_chunk_call *free_call(struct smtpd_upload *u)
{
    for (size_t i = 0; i < ARRAY_SIZE(u->calls); i++)
        if (!ipc_call_is_pending(&u->calls[i].call))
            return &u->calls[i];
    return NULL;
}

bool smtpd_upload_is_pending(const struct smtpd_session *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->upload.calls); i++)
        if (ipc_call_is_pending(&s->upload.calls[i].call))
            return true;
    return false;
}

/* There is room again, or it is lost: tells whoever waits. */
static void go_on(struct smtpd_upload *u)
{
    struct smtpd_session *s = session_of(u);

    smtpd_update_time(s->smtpd);
    if (s->commit) {
        if (u->error || !smtpd_upload_is_pending(s))
            s->drained(s);
    } else if (u->stuck || u->error) {
        int error = u->error;
        u->stuck = false;
        if (error)
            smtpd_upload_abort(s);
        smtp_server_resume(s->server, error);
    }
}

static void on_credit(struct ipc_waiter *waiter)
{
    go_on(CONTAINER_OF(waiter, struct smtpd_upload, waiter));
}

/* "Too large" is for good: not by the word of a queue that a raised limit hasn't reached yet. */
static int error_of(struct smtpd_upload *u, int told)
{
    uint64_t max = session_of(u)->smtpd->in_force->conf.message_size_max;

    if (told > 0 || (told == -EMSGSIZE && (max == 0 || u->size <= max)))
        return -EIO;
    return told;
}

static void on_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    struct smtpd_chunk_call *chunk = CONTAINER_OF(call, struct smtpd_chunk_call, call);
    struct smtpd_upload *u = chunk->upload;

    if (!reply)
        u->error = -EPIPE;
    else if (reply->upload_taken.error)
        u->error = error_of(u, reply->upload_taken.error);
    go_on(u);
}

bool smtpd_upload_is_there(const struct smtpd_session *s)
{
    return s->smtpd->queue && s->upload.epoch == s->smtpd->queue_epoch;
}

/* Numbers count up for the life of the process, so that a late answer can't be taken for another
 * upload's. */
static uint64_t number_of(const struct smtpd_session *s)
{
    return s->upload.number ? s->upload.number : s->smtpd->last_upload + 1;
}

/* With its first piece that went: until then the queue doesn't know of it, and another queue may
 * have it as well. */
static void begin(struct smtpd_session *s)
{
    if (s->upload.number)
        return;
    s->upload.number = s->smtpd->last_upload = number_of(s);
    s->upload.epoch = s->smtpd->queue_epoch;
}

/* -EAGAIN with no free call: on_taken() resumes. With no credit: the waiter does. */
int smtpd_upload_piece(struct smtpd_session *s, struct span piece)
{
    struct smtpd_upload *u = &s->upload;
    struct smtpd_chunk_call *chunk = free_call(u);
    bool is_lost = u->number ? !smtpd_upload_is_there(s) : !s->smtpd->queue;

    if (is_lost) {
        smtpd_upload_abort(s);
        return -EPIPE;
    }
    u->stuck = true;
    if (!chunk)
        return -EAGAIN;
    struct ipc_message message = {.type = IPC_UPLOAD_CHUNK,
                                  .upload_chunk = {.upload = number_of(s), .bytes = piece}};
    chunk->upload = u;
    chunk->call.fn = on_taken;
    int r = ipc_call(s->smtpd->queue, &chunk->call, &message);
    if (r == -EAGAIN) {
        u->waiter.fn = on_credit;
        ipc_wait(s->smtpd->queue, &u->waiter);
    }
    if (r == 0) {
        begin(s);
        u->size += piece.size;
    }
    u->stuck = r == -EAGAIN;
    if (r < 0 && r != -EAGAIN)
        smtpd_upload_abort(s);
    return r;
}

void smtpd_upload_forget(struct smtpd_session *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->upload.calls); i++)
        ipc_call_cancel(&s->upload.calls[i].call);
    ipc_wait_cancel(&s->upload.waiter);
    s->upload = (struct smtpd_upload){0};
}

void smtpd_upload_abort(struct smtpd_session *s)
{
    struct ipc_message abort = {.type = IPC_UPLOAD_ABORT, .upload_abort.upload = s->upload.number};

    if (s->upload.number)
        smtpd_outbox_send(&s->smtpd->to_queue, &abort);
    smtpd_upload_forget(s);
}
