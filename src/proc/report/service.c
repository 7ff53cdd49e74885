/*
 * Each report is written into one buffer and sent in one frame; nothing of it is kept, so one
 * report can tell the next nothing.
 */
#include "proc/report/service.h"

#include "mail/report.h"

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
                                          .end = r->end,
                                          .last_attempt_us = r->last_attempt_us};
    }
}

static void on_report(void *owner, const struct ipc_arrival *arrival)
{
    struct report_service *s = owner;
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
        s->written++;
    }
    ipc_reply(arrival->channel, arrival->token, &reply);
    buffer_done(&text);
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct report_service *s = owner;

    if (s->queue == channel)
        s->queue = NULL;
    ipc_channel_free(channel);
}

static const struct ipc_handler handlers[] = {{IPC_REPORT, on_report}};
static const struct ipc_role queue_role = {.peer_name = "queue",
                                           .handlers = handlers,
                                           .handler_count = ARRAY_SIZE(handlers),
                                           .lost = on_lost};

int report_service_connect(struct report_service *s, struct io_loop *loop, int fd)
{
    struct ipc_channel *channel;
    int r = ipc_channel_new(loop, fd, &queue_role, s, &channel);

    if (r < 0)
        return r;
    ipc_channel_free(s->queue);
    s->queue = channel;
    return 0;
}
