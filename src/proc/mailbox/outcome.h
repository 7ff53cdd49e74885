/*
 * What became of one recipient, in words for the book and for whoever asks: the enhanced status
 * code (RFC 3463), one sentence that begins with what strangers may know and then names the path
 * and who must act, and how far the trouble reaches, so that the queue knows whether other
 * recipients need try at all.
 */
#pragma once

#include "ipc/catalogue.h"

enum { MAILBOX_TEXT_MAX = 704, MAILBOX_PLACE_MAX = 1280, MAILBOX_STATUS_MAX = 8 };

struct mailbox_outcome {
    enum ipc_outcome result;
    enum ipc_scope scope;
    char status[MAILBOX_STATUS_MAX]; /* "4.2.2" */
    char text[MAILBOX_TEXT_MAX];     /* for strangers up to the first ": "; cut when longer */
    char place[MAILBOX_PLACE_MAX];   /* the file that it became, or "" */
};

/* Copies all; what is too long is cut. */
void mailbox_outcome_set(struct mailbox_outcome *o, enum ipc_outcome result, const char *status,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Delivered as the file `name` in `folder`/new. */
void mailbox_outcome_set_delivered(struct mailbox_outcome *o, const char *folder, const char *name);

/* For a failed system call: `doing` what ("create"), on which path, with which -errno. */
void mailbox_outcome_set_error(struct mailbox_outcome *o, const char *doing, const char *path,
                               int error);
