#include "proc/mailbox/message.h"

#include <errno.h>
#include <stdio.h>

/* About what Return-Path and Delivered-To add beside the addresses. */
enum { HEAD_OVERHEAD = 32 };

/* A recipient who has an outcome keeps it: the first trouble is the cause, what follows are
 * consequences. */
static void settle(struct maildir *m, struct mailbox_recipient *r, enum ipc_outcome result,
                   const char *status, const char *why)
{
    if (r->delivery.state == MAILDIR_DONE)
        return;
    maildir_abandon(m, &r->delivery);
    mailbox_outcome_set(&r->delivery.outcome, result, status, "%s", why);
}

/* An address goes into a header field as it is: a control byte there could begin another one. */
static bool is_one_line(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return false;
    return true;
}

/* A missing domain is deferred, not refused: the mail was accepted for it, so the configuration has
 * changed meanwhile, and somebody will mend that. An address that makes no path can't be mended. */
static void begin_recipient(struct maildir *m, const struct mailbox_message *msg,
                            struct mailbox_recipient *r)
{
    char path[CONF_TEMPLATE_PATH_MAX];
    int error = 0;

    r->delivery = (struct maildir_delivery){.fd = -1};
    if (!r->root || !r->way)
        settle(m, r, IPC_OUTCOME_DEFERRED, "4.3.5",
               "no mailboxes are configured for this domain: the administrator must add it, or an "
               "alias or route that leads elsewhere");
    else if (!is_one_line(r->address) || !is_one_line(msg->sender))
        settle(m, r, IPC_OUTCOME_FAILED, "5.1.3", "an address holds control bytes");
    else if ((error = conf_template_expand(r->way, r->address, path)) == -ENAMETOOLONG)
        settle(m, r, IPC_OUTCOME_FAILED, "5.1.3", "the address is too long for a mailbox's name");
    else if (error < 0)
        settle(m, r, IPC_OUTCOME_FAILED, "5.1.3", "the address names no mailbox");
    else
        maildir_begin(m, &r->delivery, r->root, path,
                      msg->size_bytes + msg->sender.size + r->address.size + HEAD_OVERHEAD);
}

/* Header fields and message end with the same conversion, so they go the same way. */
static void hold(struct mailbox_message *msg, struct span piece)
{
    if (msg->binary) {
        buffer_append_span(&msg->held, piece);
        return;
    }
    uint64_t before = msg->lines.ended;
    text_lines_feed(&msg->lines, piece, &msg->held);
    msg->held_line_ends += msg->lines.ended - before;
}

/* The null sender gives "Return-Path: <>" (RFC 5321 4.5.5). Lines end with LF here; each counts as
 * one byte more on the wire. */
static void write_held(struct maildir *m, struct mailbox_message *msg, struct mailbox_recipient *r)
{
    struct iovec parts[] = {
        {"Return-Path: <", 14},
        {(void *)msg->sender.data, msg->sender.size},
        {">\nDelivered-To: ", 16},
        {(void *)r->address.data, r->address.size},
        {"\n", 1},
        {msg->held.data, msg->held.size},
    };
    int skip = msg->head_written ? 5 : 0;

    maildir_write(m, &r->delivery, parts + skip, (int)ARRAY_SIZE(parts) - skip,
                  msg->held_line_ends + (msg->head_written ? 0 : 2));
}

/* Memory that was short while converting lost bytes: the message is given up, never delivered with
 * a hole. */
static void flush(struct maildir *m, struct mailbox_message *msg)
{
    if (buffer_error(&msg->held)) {
        mailbox_message_abandon(m, msg, IPC_OUTCOME_DEFERRED, "memory is short");
        return;
    }
    for (size_t i = 0; i < msg->recipient_count; i++)
        write_held(m, msg, &msg->recipients[i]);
    msg->head_written = true;
    msg->held_line_ends = 0;
    buffer_clear(&msg->held);
}

void mailbox_message_begin(struct maildir *m, struct mailbox_message *msg)
{
    msg->loop = MAIL_LOOP_INIT;
    for (size_t i = 0; i < msg->recipient_count; i++)
        begin_recipient(m, msg, &msg->recipients[i]);
    hold(msg, msg->header);
}

void mailbox_message_feed(struct maildir *m, struct mailbox_message *msg, struct span piece)
{
    mail_loop_feed(&msg->loop, piece);
    hold(msg, piece);
    if (msg->held.size >= MAILBOX_MESSAGE_HELD)
        flush(m, msg);
}

/* The loop is looked for at the end, when the header was seen for sure, and before the commit, so
 * that nothing of it stays. RFC 3463 x.4.6: routing loop. */
void mailbox_message_end(struct maildir *m, struct mailbox_message *msg)
{
    text_lines_finish(&msg->lines, &msg->held);
    for (size_t i = 0; i < msg->recipient_count; i++) {
        struct mailbox_recipient *r = &msg->recipients[i];
        if (mail_loop_has(&msg->loop, r->address))
            settle(m, r, IPC_OUTCOME_FAILED, "5.4.6",
                   "the message was in this mailbox before: it runs in a loop");
    }
    flush(m, msg);
}

void mailbox_message_abandon(struct maildir *m, struct mailbox_message *msg,
                             enum ipc_outcome result, const char *why)
{
    for (size_t i = 0; i < msg->recipient_count; i++) {
        struct mailbox_recipient *r = &msg->recipients[i];
        if (r->delivery.state == MAILDIR_DONE)
            continue;
        settle(m, r, result, "4.3.0", why);
        r->delivery.outcome.scope = IPC_SCOPE_OURS;
    }
}

void mailbox_message_done(struct mailbox_message *msg)
{
    mail_loop_done(&msg->loop);
    buffer_done(&msg->held);
}
