/*
 * Where mail for a domain goes: into a mailbox here, or on to other servers. Asked at each attempt,
 * so that a changed configuration is good for what already waits. Pure.
 */
#pragma once

#include "conf/part.h"

enum route_way { ROUTE_MAILBOX, ROUTE_SMTP, ROUTE_RETURN };

enum { ROUTE_MX_MAX = CONF_TEXT_MAX + 3 };

struct route {
    enum route_way way;
    struct span next_hop; /* of ipc_job: "", "mx:DOMAIN" or "host:HOST:PORT[,HOST:PORT...]" */
    const struct conf_queue_route *by; /* what says so; NULL: nothing does, it goes by MX */
    struct span destination; /* what the scheduler paces as one: the domain, or the hosts */
    char mx[ROUTE_MX_MAX];
};

/* Where an administrator sends a recipient instead: "host:…", "mx:DOMAIN", or back. */
#define ROUTE_BACK SPAN("return:")
/* True for such a one, false for the domain of an address. */
bool route_is_override(struct span domain);

/* An administrator's wish; else the most exact route of the domain (canonical): its own, else that
 * of the nearest domain above it, else the one for all, else its MX. The spans borrow from `conf`,
 * `domain` and *out. */
void route_find(const struct conf_queue *conf, struct span domain, struct route *out);

/* Is this domain delivered here? */
bool route_is_here(const struct conf_queue *conf, struct span domain);
/* It is delivered here, or a route or relay has its very name. */
bool route_names(const struct conf_queue *conf, struct span domain);

/* Changes when what route_find() says may have changed. */
uint64_t route_fingerprint(const struct conf_queue *conf);
