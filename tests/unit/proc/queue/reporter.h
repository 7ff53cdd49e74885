/* A played report process: it answers with the same text always, and knows what it was asked. */
#pragma once

#include "world.h"

struct reporter {
    struct ipc_channel *channel;
    int asked, error;
    bool silent;
    size_t at_most; /* more recipients are refused; 0: no limit */
    /* The last report: */
    char sender[100], address[100], status[20], reply[200], header[200], host[100];
    char instead[100], original[100];
    bool expired;
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
