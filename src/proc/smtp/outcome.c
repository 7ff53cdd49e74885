/* What the queue is told: an outcome for each recipient, and the hosts that were found. */
#include "proc/smtp/smtp.h"

#include "base/log.h"
#include <stdio.h>
#include <string.h>

static enum ipc_outcome outcome_kind(enum smtp_result result)
{
    switch (result) {
    case SMTP_RESULT_TAKEN:
        return IPC_OUTCOME_DELIVERED;
    case SMTP_RESULT_NEVER:
        return IPC_OUTCOME_FAILED;
    case SMTP_RESULT_UNCERTAIN:
        return IPC_OUTCOME_UNCERTAIN;
    default:
        return IPC_OUTCOME_DEFERRED;
    }
}

static struct ipc_job_outcome outcome_of(const struct smtp_job *job, size_t i)
{
    const struct smtp_client_recipient *r = &job->mail.recipients[i];
    /* Not tried at all, or the last try got no answer about it: the way's trouble tells more. */
    bool untried = r->result == SMTP_RESULT_OPEN;
    const struct smtp_place *place = untried ? &job->trouble_place : &job->places[i];

    return (struct ipc_job_outcome){
        .index = job->indexes[i],
        .outcome =
            (uint8_t)(untried && job->given_up ? IPC_OUTCOME_UNTRIED : outcome_kind(r->result)),
        .scope = untried || place->destination ? IPC_SCOPE_DESTINATION : IPC_SCOPE_RECIPIENT,
        .status = span_from_cstr(untried ? job->trouble_status : r->status),
        .text = untried ? span_from_cstr(job->trouble) : r->text,
        .remote_id = r->result == SMTP_RESULT_TAKEN ? smtp_remote_id(r->text) : SPAN(""),
        .knows_wish = r->result == SMTP_RESULT_TAKEN && r->knows_wish,
        .host = place->host,
        .ip = place->ip,
        .earlier = span_of(job->earlier, place->earlier),
    };
}

static void count(struct smtp_proc *proc, enum ipc_outcome outcome)
{
    proc->relayed += outcome == IPC_OUTCOME_DELIVERED;
    proc->failed += outcome == IPC_OUTCOME_FAILED;
    proc->uncertain += outcome == IPC_OUTCOME_UNCERTAIN;
    proc->deferred += outcome == IPC_OUTCOME_DEFERRED;
}

void smtp_job_note_earlier(struct smtp_job *job, const struct smtp_place *place, struct span text)
{
    char *at = job->earlier + job->earlier_size;
    size_t room = sizeof(job->earlier) - job->earlier_size;

    if (place->host.size == 0 || room <= sizeof("tried before: "))
        return;
    int n = snprintf(at, room, "%s" SPAN_FMT ": " SPAN_FMT,
                     job->earlier_size ? "; " : "tried before: ", SPAN_ARG(place->host),
                     SPAN_ARG(text));
    job->earlier_size += (size_t)n < room ? (size_t)n : room - 1;
}

void smtp_job_answer(struct smtp_job *job)
{
    size_t n = job->mail.recipient_count;
    struct ipc_message m = {.type = IPC_JOB_RESULT};
    struct ipc_job_outcome *list = job->outcomes;

    for (size_t i = 0; i < n; i++) {
        list[i] = outcome_of(job, i);
        count(job->proc, list[i].outcome);
    }
    m.job_result = (struct ipc_job_result){
        .outcomes = list,
        .outcome_count = n,
        .mx_set = job->has_way ? buffer_span(&job->way.mx_set) : SPAN(""),
    };
    if (!job->proc->queue || job->epoch != job->proc->epoch)
        return;
    int r = ipc_reply(job->proc->queue, job->token, &m);
    if (r < 0)
        log_error("can't answer a job: %s", strerror(-r));
}

/* What the queue sends at most in one job. */
enum { REFUSED_MAX = 128 };

void smtp_job_refuse(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    const struct ipc_job *from = &arrival->message->job;
    struct ipc_message m = {.type = IPC_JOB_RESULT};
    struct ipc_job_outcome list[REFUSED_MAX] __attribute__((uninitialized));

    if (from->recipient_count > REFUSED_MAX)
        log_fatal("no memory for a job of %zu recipients", from->recipient_count);
    log_warn("no memory for a job: it is put off");
    for (size_t i = 0; i < from->recipient_count; i++) {
        list[i] = (struct ipc_job_outcome){.index = from->recipients[i].index,
                                           .outcome = IPC_OUTCOME_DEFERRED,
                                           .scope = IPC_SCOPE_RECIPIENT,
                                           .status = SPAN("4.3.0"),
                                           .text = SPAN("no memory for it now")};
        count(proc, IPC_OUTCOME_DEFERRED);
    }
    m.job_result =
        (struct ipc_job_result){.outcomes = list, .outcome_count = from->recipient_count};
    int r = ipc_reply(arrival->channel, arrival->token, &m);
    if (r < 0)
        log_error("can't answer a job: %s", strerror(-r));
}
