/*
 * Pieces are confirmed to the queue when the station's session has taken them: so no more of a body
 * is on its way to us than we hold, whoever is slow. A piece that is the whole body is kept until
 * the job ends, since another host may need it from its beginning. One that came in several is gone
 * with its first: no other host is tried then, but at the next attempt.
 */
#include "proc/smtp/body.h"

#include "base/log.h"
#include "proc/common/piece.h"
#include <errno.h>

/* Is it still the queue that gave the job? Another one knows nothing of its pieces. */
static bool queue_is_there(const struct smtp_job_body *body)
{
    return body->proc->queue && body->epoch == body->proc->epoch;
}

static struct piece *first_piece(const struct smtp_job_body *body)
{
    return list_is_empty(&body->pieces) ? NULL
                                        : CONTAINER_OF(body->pieces.next, struct piece, link);
}

static void settle(struct smtp_job_body *body, struct piece *piece)
{
    list_remove(&piece->link);
    piece_settle(piece, queue_is_there(body) ? body->proc->queue : NULL);
}

void smtp_job_body_init(struct smtp_job_body *body, struct smtp_proc *proc,
                        const struct ipc_job *job)
{
    *body = (struct smtp_job_body){.proc = proc,
                                   .job = job->job,
                                   .epoch = proc->epoch,
                                   .size_bytes = job->size_bytes,
                                   .to_come = job->size_bytes};
    list_init(&body->pieces);
}

void smtp_job_body_done(struct smtp_job_body *body)
{
    struct piece *piece;

    while ((piece = first_piece(body)))
        settle(body, piece);
}

int smtp_job_body_add(struct smtp_job_body *body, const struct ipc_arrival *arrival,
                      struct span bytes, uint64_t token)
{
    struct piece *piece = piece_new(arrival, bytes, token);

    if (!piece)
        return -ENOMEM;
    list_append(&body->pieces, &piece->link);
    body->to_come -= bytes.size;
    return 0;
}

bool smtp_job_body_first(const struct smtp_job_body *body, struct span *out)
{
    const struct piece *piece = first_piece(body);

    if (!piece && body->size_bytes)
        return false;
    *out = piece ? span_of(piece->bytes, piece->size) : SPAN("");
    return true;
}

void smtp_job_body_ask(struct smtp_job_body *body)
{
    struct ipc_message m = {.type = IPC_JOB_WANTED, .job_wanted = {.job = body->job}};
    int r = !body->asked && queue_is_there(body) ? ipc_notify(body->proc->queue, &m) : 0;

    /* A body that is asked for twice would come twice. A lost channel is told of elsewhere; any
     * other failure would leave the job waiting for ever, so the process ends, and all is tried
     * again. */

    body->asked = true;
    if (r < 0 && r != -EPIPE)
        log_fatal("can't ask for the body of a job: %s", strerror(-r));
}

bool smtp_job_body_give(struct smtp_job_body *body, struct smtp_client *client)
{
    struct piece *piece = first_piece(body);
    struct span bytes;

    if (!smtp_client_wants_body(client) || !smtp_job_body_first(body, &bytes))
        return false;
    smtp_client_body(client, bytes);
    if (piece && piece->size < body->size_bytes) { /* a whole one may be needed again */
        body->consumed = true;
        settle(body, piece);
    }
    return true;
}

/* Past the list, without a copy, when the session wants bytes just as they come: most of a large
 * body goes this way. */
bool smtp_job_body_pass(struct smtp_job_body *body, struct smtp_client *client, struct span bytes)
{
    if (first_piece(body) || bytes.size == body->size_bytes || !smtp_client_wants_body(client))
        return false;
    body->to_come -= bytes.size;
    body->consumed = true;
    smtp_client_body(client, bytes);
    return true;
}
