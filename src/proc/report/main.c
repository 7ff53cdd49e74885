/*
 * The report process: writes reports (mail/report.h) when the queue asks. It reads headers that
 * strangers wrote and writes mail, so it is alone with that: no files, no sockets, one peer.
 *
 * Accepts: IPC_REPORT from queue, answered at once.
 */
#include "mail/report.h"
#include "proc/report/sandbox.h"
#include <errno.h>
#include <stdlib.h>

struct report_process {
    struct process process;
    struct ipc_channel *queue;
    uint64_t written;
};

static struct report_process *of(struct process *process)
{
    return CONTAINER_OF(process, struct report_process, process);
}

static void copy_recipients(const struct ipc_report *from, struct report_recipient *to)
{
    for (size_t i = 0; i < from->recipient_count; i++) {
        const struct ipc_report_recipient *r = &from->recipients[i];
        to[i] = (struct report_recipient){.address = r->address,
                                          .original = r->original,
                                          .status = r->status,
                                          .host = r->host,
                                          .reply = r->reply,
                                          .why = r->why,
                                          .orcpt = r->orcpt,
                                          .instead = r->instead,
                                          .expired = r->expired,
                                          .last_attempt_us = r->last_attempt_us};
    }
}

static void on_report(void *owner, const struct ipc_arrival *arrival)
{
    struct report_process *p = owner;
    const struct ipc_report *m = &arrival->message->report;
    struct report_recipient recipients[REPORT_RECIPIENTS_MAX];
    struct report report = {.kind = m->kind,
                            .language = m->language,
                            .id = m->id,
                            .now_us = m->now_us,
                            .hostname = m->hostname,
                            .postmaster = m->postmaster,
                            .original_id = m->original_id,
                            .sender = m->sender,
                            .arrival_us = m->arrival_us,
                            .until_us = m->until_us,
                            .header = m->header,
                            .whole = m->whole,
                            .envelope_id = m->envelope_id,
                            .recipients = recipients,
                            .recipient_count = m->recipient_count};
    struct ipc_message reply = {.type = IPC_REPORTED};
    struct buffer text = BUFFER_INIT;
    struct report_made made = {0};

    copy_recipients(m, recipients);
    reply.reported.error = report_write(&report, &text, &made);
    if (reply.reported.error == 0) {
        reply.reported.message = buffer_span(&text);
        reply.reported.eight_bit = made.eight_bit;
        reply.reported.smtputf8 = made.smtputf8;
        p->written++;
    }
    ipc_reply(arrival->channel, arrival->token, &reply);
    buffer_done(&text);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct report_process *p = owner;

    if (p->queue == channel)
        p->queue = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_handler handlers[] = {{IPC_REPORT, on_report}};
static const struct ipc_role queue_role = {.peer_name = "queue",
                                           .handlers = handlers,
                                           .handler_count = ARRAY_SIZE(handlers),
                                           .lost = on_lost};

static int configure(struct process *process, struct span part)
{
    return part.size ? -EBADMSG : 0;
}

static int start(struct process *process)
{
    report_sandbox_enter(process);
    return 0;
}

static int reload(struct process *process)
{
    return 0;
}

static int peer(struct process *process, enum ipc_peer kind, unsigned index, int fd)
{
    struct report_process *p = of(process);
    struct ipc_channel *channel;

    if (kind != IPC_PEER_QUEUE)
        return -EPROTO;
    int r = ipc_channel_new(process->loop, fd, &queue_role, p, &channel);
    if (r < 0)
        return r;
    ipc_channel_free(p->queue);
    p->queue = channel;
    return 0;
}

static void status(struct process *process, struct buffer *json)
{
    buffer_printf(json, "\"written\":%llu", (unsigned long long)of(process)->written);
}

int main(void)
{
    static struct report_process p;
    static const struct process_spec spec = {.name = "report",
                                             .configure = configure,
                                             .start = start,
                                             .reload = reload,
                                             .peer = peer,
                                             .status = status};

    return process_main(&p.process, &spec);
}
