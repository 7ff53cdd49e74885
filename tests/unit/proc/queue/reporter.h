/* A played report process: it answers with the same text always, and knows what it was asked. */
#pragma once

#include "world.h"

struct reporter {
    struct ipc_channel *channel;
    int asked, error;
    bool silent;
    /* NULL, or who writes down what it was asked for. */
    void (*on_question)(struct world *w, const struct ipc_report *m);
    size_t at_most; /* more recipients are refused; 0: no limit */
    /* The last report: */
    char sender[100], address[100], status[20], reply[200], header[200], host[100];
    char instead[100], original[100];
    uint8_t end;
    int64_t last_attempt_us;
    size_t recipients;
    uint8_t kind, language;
    uint64_t token;
};

extern struct reporter reporter;

/* Another one after the first ends that. */
void reporter_join(struct world *w);
void reporter_leave(void);
/* It answers the last question, about which it was silent. */
void reporter_answer(void);
/* It leaves, and nothing is known of it. */
void reporter_forget(void);

/* A world with a mailbox that refuses all, and a directory; without a report process. */
struct world *reporter_begin(void);
void reporter_end(struct world *w);
/* A message, for its 250. */
struct id reporter_send(struct world *w, const char *sender, const char *recipients);
/* What the next message's sender wants about all its recipients, with reporter_wish() as what
 * spoils the commit. */
extern uint8_t reporter_wanted;
void reporter_wish(struct world *w, struct envelope *e, uint8_t *tickets);
/* For world_until(): so many messages (a uint64_t) are left, and nothing is under way. */
bool reporter_left(struct world *w, void *arg);
