/*
 * The directory's tickets (proc/common/ticket.h), which a commit of smtpd must bring for each of
 * its recipients. The key before the last one is still good: what was asked of a directory that has
 * ended since was allowed, too.
 */
#pragma once

#include "mail/envelope.h"
#include "proc/common/ticket.h"

struct tickets {
    struct ticket_gate now, before;
    uint64_t refused; /* commits, since the start */
    bool owes;        /* there was no memory for this key: tried again with each commit */
    uint8_t owed[TICKET_KEY_BYTES];
};

/* A new key of the directory. 0; -ENOMEM: not yet, what it allowed is refused until there is
 * memory for it. */
int tickets_use_key(struct tickets *tickets, const uint8_t key[static TICKET_KEY_BYTES]);
void tickets_done(struct tickets *tickets);
/* Is there a good one for each recipient, for this client and sender? They are used then. */
bool tickets_take(struct tickets *tickets, const struct envelope *envelope, struct span wire);
