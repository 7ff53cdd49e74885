/*
 * Refusals on their way to the book. Each goes as it is, until a client makes more than
 * SMTPD_REFUSALS_ALONE in a minute: the rest of that minute becomes one counted event. So a
 * dictionary attack owns neither the disk nor the book. A fixed table of clients; when two share a
 * place, the one that was there is told of first. Pure but for `send`: it is told the time.
 */
#pragma once

#include "mail/event.h"

enum {
    SMTPD_REFUSALS_ALONE = 20,
    SMTPD_REFUSALS_WINDOW_MS = 60000,
    SMTPD_REFUSALS_CLIENTS = 1024,
    SMTPD_REFUSALS_REPLY_MAX = 200,
};

struct smtpd_refusals_client;

struct smtpd_refusals {
    /* 0, or <0: it can't be sent now. */
    int (*send)(void *context, const struct event *event);
    void *context;
    uint64_t seed;
    struct smtpd_refusals_client *clients; /* SMTPD_REFUSALS_CLIENTS of them */
};

/* 0 or -ENOMEM. `seed`: any random number. */
int smtpd_refusals_init(struct smtpd_refusals *refusals, uint64_t seed,
                        int (*send)(void *context, const struct event *event), void *context);
void smtpd_refusals_done(struct smtpd_refusals *refusals);

/* *event is borrowed for the call. */
void smtpd_refusals_add(struct smtpd_refusals *refusals, const struct event *event, int64_t now_ms);
/* Sends the aggregates whose minute is over, or all. */
void smtpd_refusals_flush(struct smtpd_refusals *refusals, int64_t now_ms, bool all);
