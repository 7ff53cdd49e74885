/*
 * A job's pieces move between two lists: `fresh` is the loop's, `taken` the thread's. They change
 * hands only while no thread is at work, so neither needs a lock.
 */
#include "proc/mailbox/job.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Bounds what one frame can make a job hold, by far. */
enum { ARENA_BYTES = 8 << 20 };

void job_set_state(struct job *job, enum job_state state)
{
    static const unsigned char legal[] = {
        [JOB_ARRIVING] = 1 << JOB_WRITING | 1 << JOB_READY,
        [JOB_WRITING] = 1 << JOB_ARRIVING | 1 << JOB_READY,
        [JOB_READY] = 1 << JOB_COMMITTING,
    };
    assert(job->state < ARRAY_SIZE(legal) && legal[job->state] & 1 << state);
    job->state = state;
}

static int copy_recipient(struct job *job, const struct ipc_job_recipient *from, size_t i)
{
    struct mailbox_recipient *r = &job->message.recipients[i];
    const struct mailbox_domain *domain = mailbox_domains_find(job->domains, from->address);

    r->address = arena_copy(&job->arena, from->address);
    r->root = domain ? domain->root : NULL;
    r->way = domain ? &domain->way : NULL;
    job->indexes[i] = from->index;
    return r->address.data ? 0 : -ENOMEM;
}

/* The frame is the channel's and is gone when the handler returns, so all that outlives it is
 * copied; of the body the pieces have copies (job_add_piece()). */
static int copy_job(struct job *job, const struct ipc_job *from)
{
    struct mailbox_message *msg = &job->message;

    msg->sender = arena_copy(&job->arena, from->sender);
    msg->header = arena_copy(&job->arena, from->header);
    msg->binary = from->body_type == ENVELOPE_BODY_BINARYMIME;
    msg->size_bytes = from->header.size + from->size_bytes;
    msg->recipients =
        arena_alloc_array(&job->arena, from->recipient_count + 1, sizeof(*msg->recipients));
    msg->recipient_count = from->recipient_count;
    job->indexes = arena_alloc_array(&job->arena, from->recipient_count + 1, sizeof(uint32_t));
    job->outcomes =
        arena_alloc_array(&job->arena, from->recipient_count + 1, sizeof(*job->outcomes));
    if (!msg->sender.data || !msg->header.data || !msg->recipients || !job->indexes ||
        !job->outcomes)
        return -ENOMEM;
    for (size_t i = 0; i < from->recipient_count; i++)
        if (copy_recipient(job, &from->recipients[i], i) < 0)
            return -ENOMEM;
    return 0;
}

int job_new(const struct ipc_job *from, struct mailbox_domains *domains, struct job **out)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    job->number = from->job;
    job->to_come = from->size_bytes;
    job->arena = ARENA_LIMITED(ARENA_BYTES);
    job->domains = mailbox_domains_hold(domains);
    list_init(&job->fresh);
    list_init(&job->taken);
    int r = copy_job(job, from);
    if (r < 0)
        job_free(job);
    else
        *out = job;
    return r;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    assert(list_is_empty(&job->fresh) && list_is_empty(&job->taken));
    mailbox_message_done(&job->message);
    mailbox_domains_release(job->domains);
    arena_done(&job->arena);
    free(job);
}

int job_add_piece(struct job *job, const struct ipc_arrival *arrival, struct span bytes,
                  uint64_t token)
{
    struct piece *piece = piece_new(arrival, bytes, token);

    if (!piece)
        return -ENOMEM;
    list_append(&job->fresh, &piece->link);
    job->to_come -= bytes.size;
    return 0;
}

/* `all_taken` is settled here, on the loop: the thread may not look at `to_come`, which grows
 * smaller while it writes. */
void job_take_pieces(struct job *job)
{
    for (struct list *link; (link = list_take_first(&job->fresh));)
        list_append(&job->taken, link);
    job->all_taken = job->to_come == 0;
}

static void write_pieces(struct job *job, struct maildir *m)
{
    LIST_EACH(&job->taken, link)
    {
        const struct piece *piece = CONTAINER_OF(link, struct piece, link);
        mailbox_message_feed(m, &job->message, span_of(piece->bytes, piece->size));
    }
}

/* Our end is nobody's fault, and the next process is there in a moment: it is no attempt. */
static enum ipc_outcome given_up(const struct job *job)
{
    return job->given_back ? IPC_OUTCOME_UNTRIED : IPC_OUTCOME_DEFERRED;
}

void job_write(struct job *job, struct maildir *m)
{
    if (job->ended || (job->dropped && !job->begun))
        return;
    if (job->dropped) {
        mailbox_message_abandon(m, &job->message, given_up(job), job->dropped);
        job->ended = true;
        return;
    }
    if (!job->begun)
        mailbox_message_begin(m, &job->message);
    job->begun = true;
    write_pieces(job, m);
    if (!job->all_taken)
        return;
    mailbox_message_end(m, &job->message);
    job->ended = true;
}

bool job_is_settled(const struct job *job)
{
    for (size_t i = 0; i < job->message.recipient_count; i++)
        if (job->message.recipients[i].delivery.state != MAILDIR_DONE)
            return false;
    return true;
}

/* A delivery that isn't DONE never began, or was given up half-way: again, whatever the reason,
 * since the queue has the message still. */
static struct ipc_job_outcome outcome_of(const struct job *job, size_t i)
{
    const struct maildir_delivery *d = &job->message.recipients[i].delivery;
    const struct mailbox_outcome *o = &d->outcome;

    if (d->state != MAILDIR_DONE)
        return (struct ipc_job_outcome){
            .index = job->indexes[i],
            .outcome = (uint8_t)given_up(job),
            .scope = IPC_SCOPE_OURS,
            .status = SPAN("4.3.2"),
            .text = span_from_cstr(job->dropped ? job->dropped : "memory is short"),
        };
    return (struct ipc_job_outcome){
        .index = job->indexes[i],
        .outcome = (uint8_t)o->result,
        .scope = (uint8_t)o->scope,
        .status = span_from_cstr(o->status),
        .text = span_from_cstr(o->text),
        .remote_id = span_from_cstr(o->place),
    };
}

struct ipc_job_outcome *job_outcomes(struct job *job)
{
    for (size_t i = 0; i < job->message.recipient_count; i++)
        job->outcomes[i] = outcome_of(job, i);
    return job->outcomes;
}
