/*
 * One message on its way into one or several mailboxes. Its bytes come in pieces, are converted
 * (text.h) once, and go to every mailbox's file; each file begins with its own
 *
 *   Return-Path: <sender>        RFC 5321 4.4
 *   Delivered-To: address
 *
 * and then has the new header fields and the message. Small messages are held until their end and
 * written at once; large ones are written as they come, never held whole.
 *
 * Used by one thread at a time. What goes wrong is in the deliveries' outcomes.
 */
#pragma once

#include "conf/template.h"
#include "mail/loop.h"
#include "proc/mailbox/maildir.h"
#include "proc/mailbox/text.h"

enum { MAILBOX_MESSAGE_HELD = 128 * 1024 };

struct mailbox_recipient {
    struct span address;             /* canonical, as Delivered-To will say */
    const struct mailbox_root *root; /* of its domain's template; NULL: no such mailbox here */
    const struct conf_template *way; /* its domain's template */
    struct maildir_delivery delivery;
};

struct mailbox_message {
    struct span sender;  /* "" is the null sender */
    struct span header;  /* new fields in front of the message, CRLF line ends */
    bool binary;         /* BODY=BINARYMIME */
    uint64_t size_bytes; /* of header and message, as announced */
    struct mailbox_recipient *recipients;
    size_t recipient_count;

    bool head_written;
    struct text_lines lines;
    struct mail_loop loop;
    struct buffer held;      /* converted, not yet written */
    uint64_t held_line_ends; /* how many CRLFs that were */
};

/* Opens all files. The upper members are set; spans must stay until the end. */
void mailbox_message_begin(struct maildir *m, struct mailbox_message *msg);
/* Errors are in the deliveries; a piece is converted or written when it returns, so the caller may
 * let it go. */
void mailbox_message_feed(struct maildir *m, struct mailbox_message *msg, struct span piece);
/* After the last piece: all is written, loops are refused. Then maildir_commit(). */
void mailbox_message_end(struct maildir *m, struct mailbox_message *msg);
/* Removes what was written, when the message won't come whole; `result` is the outcome of each that
 * has none. The cause is ours, whatever it is: it counts against no recipient. */
void mailbox_message_abandon(struct maildir *m, struct mailbox_message *msg,
                             enum ipc_outcome result, const char *why);
/* Frees what _begin took. All deliveries must be DONE. */
void mailbox_message_done(struct mailbox_message *msg);
