/*
 * Messages are copied as structures, which is why they may hold no spans.
 */
#include "proc/smtpd/outbox.h"

#include <errno.h>

static void flush(struct smtpd_outbox *outbox)
{
    struct ipc_message message;
    size_t at = 0;

    while (outbox->waiting.size - at >= sizeof(message)) {
        memcpy(&message, outbox->waiting.data + at, sizeof(message));
        if (ipc_notify(outbox->channel, &message) == -EAGAIN)
            break;
        at += sizeof(message);
    }
    buffer_consume(&outbox->waiting, at);
    if (outbox->waiting.size)
        ipc_wait(outbox->channel, &outbox->waiter);
    else
        buffer_done(&outbox->waiting);
}

static void on_credit(struct ipc_waiter *waiter)
{
    struct smtpd_outbox *outbox = CONTAINER_OF(waiter, struct smtpd_outbox, waiter);

    if (outbox->channel)
        flush(outbox);
}

void smtpd_outbox_connect(struct smtpd_outbox *outbox, struct ipc_channel *channel)
{
    ipc_wait_cancel(&outbox->waiter);
    outbox->waiter.fn = on_credit;
    outbox->channel = channel;
    buffer_done(&outbox->waiting);
}

void smtpd_outbox_send(struct smtpd_outbox *outbox, const struct ipc_message *message)
{
    if (!outbox->channel)
        return;
    bool first = outbox->waiting.size == 0;
    if (first && ipc_notify(outbox->channel, message) != -EAGAIN)
        return;
    buffer_append(&outbox->waiting, message, sizeof(*message));
    if (first)
        ipc_wait(outbox->channel, &outbox->waiter);
}
