/*
 * Which way a recipient's domain goes. A domain that is delivered here comes before every route,
 * and a more exact pattern before a wider one; "*" is the last. An administrator's `queue reroute`
 * writes its next hop in the place of the domain, and goes before all.
 */
#include "proc/queue/core/route.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char HOST[] = "host:", MX[] = "mx:";

/* Domains and routes are sorted, and begin with their names, which are in lower case. */
static int by_name(const void *name, const void *element)
{
    struct span wanted = *(const struct span *)name, own = *(const struct span *)element;

    for (size_t i = 0; i < wanted.size && i < own.size; i++) {
        int order = (unsigned char)ascii_lower(wanted.data[i]) - (unsigned char)own.data[i];
        if (order)
            return order;
    }
    return (wanted.size > own.size) - (wanted.size < own.size);
}

_Static_assert(offsetof(struct conf_queue_domain, name) == 0 &&
                   offsetof(struct conf_queue_route, pattern) == 0,
               "they begin with their names");

static bool is_local(const struct conf_queue *conf, struct span domain)
{
    return conf->domain_count &&
           bsearch(&domain, conf->domains, conf->domain_count, sizeof(*conf->domains), by_name);
}

/* By exact name; the configuration has put routes in order. */
static const struct conf_queue_route *lookup(const struct conf_queue *conf, struct span pattern)
{
    if (conf->route_count == 0)
        return NULL;
    return bsearch(&pattern, conf->routes, conf->route_count, sizeof(*conf->routes), by_name);
}

bool route_is_here(const struct conf_queue *conf, struct span domain)
{
    struct route route;

    route_find(conf, domain, &route);
    return route.way == ROUTE_MAILBOX;
}

bool route_names(const struct conf_queue *conf, struct span domain)
{
    return is_local(conf, domain) || lookup(conf, domain);
}

/* The pattern ".bbb.example" is for all below bbb.example, not for itself. */
static const struct conf_queue_route *most_exact(const struct conf_queue *conf, struct span domain)
{
    const struct conf_queue_route *route = lookup(conf, domain);
    struct span rest = domain;
    ptrdiff_t dot;

    while (!route && (dot = span_find(rest, '.')) >= 0) {
        route = lookup(conf, span_from(rest, (size_t)dot));
        rest = span_from(rest, (size_t)dot + 1);
    }
    return route ? route : lookup(conf, SPAN("*"));
}

/* The text lies in `out` itself, which therefore must not be copied. */
static void by_mx(struct span domain, struct route *out)
{
    struct span kept = span_first(domain, CONF_TEXT_MAX);

    memcpy(out->mx, "mx:", 3);
    memcpy(out->mx + 3, kept.data, kept.size);
    out->next_hop = span_of(out->mx, 3 + kept.size);
}

/* Domains have no colon but in address literals, which start with a bracket. */
bool route_is_override(struct span domain)
{
    return domain.size && domain.data[0] != '[' && span_find(domain, ':') >= 0;
}

static void follow_override(struct span where, struct route *out)
{
    out->way = span_equal(where, ROUTE_BACK) ? ROUTE_RETURN : ROUTE_SMTP;
    out->next_hop = where;
    out->destination = where;
    if (span_starts_nocase(where, span_from_cstr(HOST)))
        out->destination = span_from(where, strlen(HOST));
    else if (span_starts_nocase(where, span_from_cstr(MX)))
        out->destination = span_from(where, strlen(MX));
}

void route_find(const struct conf_queue *conf, struct span domain, struct route *out)
{
    out->way = ROUTE_MAILBOX;
    out->next_hop = SPAN("");
    out->destination = domain;
    out->by = NULL;
    if (route_is_override(domain)) {
        follow_override(domain, out);
        return;
    }
    if (is_local(conf, domain))
        return;
    const struct conf_queue_route *route = most_exact(conf, domain);
    out->way = ROUTE_SMTP;
    out->by = route;
    if (route && span_starts_nocase(route->next_hop, span_from_cstr(HOST))) {
        out->next_hop = route->next_hop;
        out->destination = span_from(route->next_hop, strlen(HOST));
    } else {
        by_mx(domain, out);
    }
}

/* The size goes in, so that "ab", "c" isn't "a", "bc". */
static uint64_t chain(uint64_t hash, struct span text)
{
    return XXH3_64bits_withSeed(text.data, text.size, hash + text.size);
}

/* So that a reload that changed something else doesn't route all that waits again. */
uint64_t route_fingerprint(const struct conf_queue *conf)
{
    uint64_t hash = conf->domain_count;

    for (size_t i = 0; i < conf->domain_count; i++)
        hash = chain(hash, conf->domains[i].name);
    for (size_t i = 0; i < conf->route_count; i++)
        hash = chain(chain(hash, conf->routes[i].pattern), conf->routes[i].next_hop);
    return hash;
}
