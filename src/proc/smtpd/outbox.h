/*
 * Notices to another process that must arrive although there may be no credit for them now: a
 * client is gone, an upload is for nothing. They wait in order; what they are about ends with the
 * channel, so they are dropped with it.
 */
#pragma once

#include "ipc/channel.h"

struct smtpd_outbox {
    struct ipc_channel *channel; /* NULL: notices are dropped */
    struct buffer waiting;       /* struct ipc_message each */
    struct ipc_waiter waiter;
};

/* NULL: the peer is gone. What waited for the old one is dropped. */
void smtpd_outbox_connect(struct smtpd_outbox *outbox, struct ipc_channel *channel);
/* Copied; must not hold spans. Never fails: without memory it is lost. The peer then goes on
 * counting that client, or keeping that upload, until the channel ends. */
void smtpd_outbox_send(struct smtpd_outbox *outbox, const struct ipc_message *message);
