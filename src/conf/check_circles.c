/* Relays and routes that name this server itself: mail would come back instead of going on. */
#include "conf/check.h"

#include "conf/next_hop.h"

static bool is_loopback(const uint8_t ip[static IP_BYTES])
{
    static const uint8_t v6[IP_BYTES] = {[15] = 1};

    return ip_is_v4(ip) ? ip[12] == 127 : memcmp(ip, v6, sizeof(v6)) == 0;
}

/* What is known without asking anybody; what else is this machine is seen when mail goes there. */
static bool listens_at(const struct conf_address *listener, const uint8_t ip[static IP_BYTES])
{
    if (conf_ip_is_any(listener->ip))
        return is_loopback(ip) && ip_is_v4(listener->ip) == ip_is_v4(ip);
    return memcmp(listener->ip, ip, IP_BYTES) == 0;
}

/* By name only what is configured: asking the DNS here would make the check depend on the network.
 */
static bool is_own_name(const struct conf *c, struct span host)
{
    return span_equal_nocase(host, c->hostname) || span_equal_nocase(host, SPAN("localhost"));
}

static bool is_self(const struct conf *c, struct span host, uint64_t port)
{
    uint8_t ip[IP_BYTES];
    bool bracketed = host.size > 2 && host.data[0] == '[';
    bool has_ip = ip_parse(bracketed ? span_of(host.data + 1, host.size - 2) : host, ip) == 0;

    for (size_t i = 0; i < c->listen_count; i++)
        for (size_t k = 0; k < c->listens[i].address_count; k++) {
            const struct conf_address *listener = &c->listens[i].addresses[k];
            if (listener->port == port &&
                (has_ip ? listens_at(listener, ip) : is_own_name(c, host)))
                return true;
        }
    return false;
}

/* A warning, not an error: a port that is forwarded elsewhere looks the same from here. */
static void check_route(const struct conf *c, const struct conf_route *route,
                        struct conf_problems *problems)
{
    struct span rest = route->next_hop, host, port;
    uint64_t number;

    if (!span_starts_nocase(rest, SPAN("host:")))
        return;
    for (rest = span_from(rest, 5); rest.size;) {
        ptrdiff_t comma = span_find(rest, ',');
        struct span one = comma < 0 ? rest : span_first(rest, (size_t)comma);
        if (conf_split_host(one, &host, &port) && span_to_u64(port, UINT16_MAX, &number) == 0 &&
            is_self(c, host, number))
            conf_warn(problems, route->place,
                      "`%.*s` goes to %.*s, which is this server: mail would come back; name the "
                      "next one",
                      SPAN_ARG(route->name), SPAN_ARG(one));
        rest = comma < 0 ? SPAN("") : span_from(rest, (size_t)comma + 1);
    }
}

void conf_check_circles(const struct conf *c, struct conf_problems *problems)
{
    for (size_t i = 0; i < c->relay_count; i++)
        check_route(c, &c->relays[i], problems);
    for (size_t i = 0; i < c->route_count; i++)
        check_route(c, &c->routes[i], problems);
}
