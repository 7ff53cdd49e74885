#include "conf/route_keys.h"

#include "conf/conf.h"
#include "conf/next_hop.h"
#include <errno.h>

#define SHOWN(s) SPAN_ARG(span_first(s, 80))

/* ---- to: [mx], or hosts in the order in which they are tried ---- */

static bool is_mx(const struct conf_node *n)
{
    return n->kind == CONF_NODE_TEXT && span_equal_nocase(n->text, SPAN("mx"));
}

static bool has_scheme(const struct conf_node *n, struct span scheme)
{
    return n->kind == CONF_NODE_TEXT && span_starts_nocase(n->text, scheme);
}

/* The buffer's own error is sticky, and seen to at the end. */
static bool read_hop(struct conf_reader *r, const struct conf_node *n, struct buffer *out)
{
    if (n->kind == CONF_NODE_BAD)
        return false;
    if (has_scheme(n, SPAN("smtp:")) && conf_read_host(n->text, out) != -EINVAL)
        return true;
    if (has_scheme(n, SPAN("smtp:")))
        conf_error(r->problems, n->place,
                   "`%.*s` names no host and port; write smtp:gate.example.org:25, "
                   "smtp:192.0.2.1:25 or smtp:[2001:db8::1]:25",
                   SHOWN(n->text));
    else if (has_scheme(n, SPAN("lmtp:")))
        conf_error(r->problems, n->place,
                   "not built yet: carrying mail on by LMTP; use smtp:HOST:PORT");
    else if (is_mx(n))
        conf_error(r->problems, n->place, "`mx` stands among hosts; write either mx or the hosts");
    else
        conf_error(r->problems, n->place,
                   "`%.*s` is no way to carry mail on; write mx, or smtp:HOST:PORT for each host",
                   SHOWN(n->text));
    return false;
}

/* Joined into one text, which is at once the name of the destination: hosts in another order are
 * another one, since the order is that of trying. */
static bool read_hosts(struct conf_reader *r, const struct conf_node *n, struct span *out)
{
    struct buffer hop = BUFFER_LIMITED(CONF_NEXT_HOP_MAX);
    size_t count;
    const struct conf_node *first = conf_node_items(n, &count);
    bool good = true;

    for (const struct conf_node *i = first; i && good; i = count > 1 ? i->next : NULL)
        good = read_hop(r, i, &hop);
    bool long_one = buffer_error(&hop) == -EMSGSIZE;
    if (long_one)
        conf_error(r->problems, n->place, "too many hosts; name fewer");
    else if (good)
        *out = arena_copy(r->arena, buffer_span(&hop));
    if (good && !long_one && (buffer_error(&hop) || !out->data))
        r->error = -ENOMEM;
    buffer_done(&hop);
    return good && !long_one && r->error == 0;
}

static bool read_to(struct conf_reader *r, const struct conf_node *n, void *target)
{
    struct conf_route *route = target;
    size_t count;
    const struct conf_node *first = conf_node_items(n, &count);

    if (count == 0) {
        conf_error(r->problems, n->place, "`to` names no way; write [mx] or [\"smtp:HOST:PORT\"]");
        return false;
    }
    if (count > 1 || !is_mx(first))
        return read_hosts(r, n, &route->next_hop);
    route->next_hop = SPAN("mx");
    return true;
}

static bool read_tls(struct conf_reader *r, const struct conf_node *n, void *target)
{
    if (span_equal(n->text, SPAN("none")))
        return true;
    /* Ignoring it would send in the clear what was meant to be protected. */
    if (span_equal(n->text, SPAN("require")) || span_equal(n->text, SPAN("implicit")))
        conf_error(r->problems, n->place,
                   "not built yet: `tls: %.*s` on the way to other servers, so mail would go in "
                   "the clear; take it out",
                   SPAN_ARG(n->text));
    else if (span_equal(n->text, SPAN("opportunistic")))
        conf_warn(r->problems, n->place,
                  "not built yet: TLS to other servers; mail goes in the clear");
    else
        conf_error(r->problems, n->place,
                   "`%.*s` is not a value of `tls`; choose one of: none, opportunistic, require, "
                   "implicit",
                   SHOWN(n->text));
    return true;
}

/* ---- the names ---- */

static bool read_relay_name(struct conf_reader *r, const struct conf_node *n, struct span *out_name)
{
    /* Everybody may send to a relay domain, so "all" would be an open relay. */
    if (n->key.size && (n->key.data[0] == '*' || n->key.data[0] == '.')) {
        conf_error(r->problems, n->key_place,
                   "`%.*s` would accept mail from anyone for anyone: an open relay; name each "
                   "domain, and use `routes:` to say how mail of trusted clients goes on",
                   SHOWN(n->key));
        return false;
    }
    return conf_read_domain(r, n->key_place, n->key, out_name);
}

/* "*", a domain, or ".domain" for all below it. */
static bool read_route_name(struct conf_reader *r, const struct conf_node *n, struct span *out_name)
{
    struct span bare;

    if (span_equal(n->key, SPAN("*"))) {
        *out_name = n->key;
        return true;
    }
    if (n->key.size == 0 || n->key.data[0] != '.')
        return conf_read_domain(r, n->key_place, n->key, out_name);
    if (!conf_read_domain(r, n->key_place, span_from(n->key, 1), &bare))
        return false;
    char *name = arena_alloc(r->arena, bare.size + 1);
    if (!name) {
        r->error = -ENOMEM;
        return false;
    }
    name[0] = '.';
    memcpy(name + 1, bare.data, bare.size);
    *out_name = span_of(name, bare.size + 1);
    return true;
}

static const struct conf_key relay_keys[] = {
    {"to", CONF_TYPE_CUSTOM_LIST, .max = CONF_ROUTE_HOSTS_MAX, .read = read_to, .required = true},
    {"verify", CONF_TYPE_BOOL, CONF_UNKEPT,
     .not_built = "`verify`; every recipient of the domain is accepted, nobody is asked first"},
    {"tls", CONF_TYPE_CUSTOM, .read = read_tls},
};
static const struct conf_key route_keys[] = {
    {"to", CONF_TYPE_CUSTOM_LIST, .max = CONF_ROUTE_HOSTS_MAX, .read = read_to, .required = true},
    {"tls", CONF_TYPE_CUSTOM, .read = read_tls},
};

const struct conf_schema conf_relay_schema = {
    .name = "a relay",
    .keys = relay_keys,
    .key_count = ARRAY_SIZE(relay_keys),
    .size = sizeof(struct conf_route),
    .name_offset = offsetof(struct conf_route, name),
    .place_offset = offsetof(struct conf_route, place),
    .read_name = read_relay_name,
};
const struct conf_schema conf_route_schema = {
    .name = "a route",
    .keys = route_keys,
    .key_count = ARRAY_SIZE(route_keys),
    .size = sizeof(struct conf_route),
    .name_offset = offsetof(struct conf_route, name),
    .place_offset = offsetof(struct conf_route, place),
    .read_name = read_route_name,
};
