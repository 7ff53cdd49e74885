/*
 * Two gates, for the directory's key and the one before it. A ticket belongs to one client, sender
 * and recipient: a taken-over smtpd can't use what was allowed to another.
 */
#include "proc/queue/core/tickets.h"

#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int use_owed(struct tickets *t)
{
    struct ticket_gate fresh = {0};

    if (ticket_gate_open(&fresh, t->owed) < 0)
        return -ENOMEM;
    explicit_bzero(t->owed, sizeof(t->owed));
    t->owes = false;
    ticket_gate_done(&t->before);
    t->before = t->now;
    t->now = fresh;
    return 0;
}

int tickets_use_key(struct tickets *t, const uint8_t key[static TICKET_KEY_BYTES])
{
    memcpy(t->owed, key, sizeof(t->owed));
    t->owes = true;
    return use_owed(t);
}

void tickets_done(struct tickets *t)
{
    explicit_bzero(t->owed, sizeof(t->owed));
    t->owes = false;
    ticket_gate_done(&t->now);
    ticket_gate_done(&t->before);
}

/* -EBADMSG: not by this key. A ticket that this key knows as used isn't tried on the other one. */
static int take(struct tickets *t, const struct ticket_facts *facts, struct span ticket)
{
    int r = ticket_take(&t->now, facts, ticket);
    return r == -EBADMSG ? ticket_take(&t->before, facts, ticket) : r;
}

/* A queue or directory that has just started gives cause to a few. Logged ever more rarely. */
static bool refuse(struct tickets *t)
{
    t->refused++;
    if ((t->refused & (t->refused - 1)) == 0)
        log_warn("smtpd brought a message whose recipients the directory hasn't allowed: deferred "
                 "(%" PRIu64 " since the start; a few are usual after a restart)",
                 t->refused);
    return false;
}

/* One bad ticket refuses the message, and the good ones before it are used up: smtpd asks for all
 * of them again. */
bool tickets_take(struct tickets *t, const struct envelope *e, struct span wire)
{
    if (t->owes)
        use_owed(t);
    if (wire.size != e->recipient_count * TICKET_BYTES)
        return refuse(t);
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct envelope_recipient *r = &e->recipients[i];
        struct ticket_facts facts = {.ip = e->client.ip,
                                     .uid = e->client.uid,
                                     .sender = e->sender,
                                     .address = r->address,
                                     .expands = r->flags & ENVELOPE_RECIPIENT_EXPANDS};
        if (take(t, &facts, span_of(wire.data + i * TICKET_BYTES, TICKET_BYTES)) < 0)
            return refuse(t);
    }
    return true;
}
