#include "conf/network.h"

#include <errno.h>
#include <stdio.h>

enum { V4_PREFIX = 96, IP_BITS = 128 };

bool conf_ip_is_any(const uint8_t ip[static IP_BYTES])
{
    static const uint8_t zero[IP_BYTES];
    size_t start = ip_is_v4(ip) ? IP_V4_AT : 0;

    return memcmp(ip + start, zero, sizeof(zero) - start) == 0;
}

int conf_ip_host(struct span host, char out[static IP_TEXT + 2])
{
    bool bracketed = host.size > 2 && host.data[0] == '[';
    struct span bare = bracketed ? span_of(host.data + 1, host.size - 2) : host;
    char text[IP_TEXT];
    uint8_t ip[IP_BYTES];

    if (ip_parse(bare, ip) < 0)
        return -ENOENT;
    if (bracketed == ip_is_v4(ip))
        return -EINVAL;
    ip_format(ip, text);
    snprintf(out, IP_TEXT + 2, bracketed ? "[%s]" : "%s", text);
    return 0;
}

int conf_address_parse(struct span text, struct conf_address *out)
{
    ptrdiff_t colon = span_find_last(text, ':');
    struct conf_address address;
    struct span host;
    uint64_t port;

    if (colon < 0 || span_to_u64(span_from(text, (size_t)colon + 1), UINT16_MAX, &port) < 0 ||
        port == 0)
        return -EINVAL;
    host = span_first(text, (size_t)colon);
    bool bracketed = host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (bracketed)
        host = span_first(span_from(host, 1), host.size - 2);
    /* Without brackets the last colon of an IPv6 address would be taken for the port's. */
    if (bracketed != (span_find(host, ':') >= 0) || ip_parse(host, address.ip) < 0)
        return -EINVAL;
    address.port = (uint16_t)port;
    *out = address;
    return 0;
}

int conf_server_parse(struct span text, struct conf_address *out)
{
    ptrdiff_t at = span_find_last(text, '@');
    struct conf_address server = {.port = 53};
    uint64_t port = 53;

    if (at >= 0 && (span_to_u64(span_from(text, (size_t)at + 1), UINT16_MAX, &port) < 0 || !port))
        return -EINVAL;
    if (ip_parse(at < 0 ? text : span_first(text, (size_t)at), server.ip) < 0)
        return at < 0 ? conf_address_parse(text, out) : -EINVAL;
    server.port = (uint16_t)port;
    *out = server;
    return 0;
}

void conf_address_format(const struct conf_address *address, char out[static CONF_NETWORK_TEXT])
{
    char ip[IP_TEXT];
    const char *format = ip_is_v4(address->ip) ? "%.39s:%u" : "[%.39s]:%u";

    ip_format(address->ip, ip);
    /* One of the two formats above, both for the same arguments. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(out, CONF_NETWORK_TEXT, format, ip, address->port);
#pragma GCC diagnostic pop
}

void conf_ip_mask(uint8_t ip[static IP_BYTES], unsigned prefix)
{
    for (unsigned byte = 0; byte < IP_BYTES; byte++) {
        unsigned kept = prefix > byte * 8 ? prefix - byte * 8 : 0;
        if (kept < 8)
            ip[byte] &= (uint8_t)(0xff00u >> kept);
    }
}

/* Bits behind the prefix are a fault (-EDOM), not cut off: 192.0.2.7/24 may mean the one host or
 * the whole network. */
int conf_network_parse(struct span text, struct conf_network *out)
{
    ptrdiff_t slash = span_find(text, '/');
    struct conf_network network;
    uint8_t masked[IP_BYTES];
    uint64_t prefix;

    struct span host = slash < 0 ? text : span_first(text, (size_t)slash);
    if (ip_parse(host, network.ip) < 0)
        return -EINVAL;
    unsigned base = span_find(host, ':') < 0 ? V4_PREFIX : 0;
    prefix = IP_BITS - base;
    if (slash >= 0 && span_to_u64(span_from(text, (size_t)slash + 1), prefix, &prefix) < 0)
        return -EINVAL;
    network.prefix = (uint8_t)(prefix + base);
    memcpy(masked, network.ip, sizeof(masked));
    conf_ip_mask(masked, network.prefix);
    if (memcmp(masked, network.ip, sizeof(masked)) != 0)
        return -EDOM;
    *out = network;
    return 0;
}

void conf_network_format(const struct conf_network *network, char out[static CONF_NETWORK_TEXT])
{
    char ip[IP_TEXT];
    bool v4 = ip_is_v4(network->ip) && network->prefix >= V4_PREFIX;

    ip_format(network->ip, ip);
    snprintf(out, CONF_NETWORK_TEXT, "%.45s/%u", ip, network->prefix - (v4 ? V4_PREFIX : 0u));
}

bool conf_network_contains(const struct conf_network *network, const uint8_t ip[static IP_BYTES])
{
    uint8_t masked[IP_BYTES];

    /* ::/0 and its like mean IPv6: the mapped form of IPv4 is our own notation. */
    if (ip_is_v4(ip) && network->prefix < V4_PREFIX)
        return false;
    memcpy(masked, ip, sizeof(masked));
    conf_ip_mask(masked, network->prefix);
    return memcmp(masked, network->ip, sizeof(masked)) == 0;
}

/* Linear: at most CONF_NETWORKS_MAX, asked once a client. */
bool conf_networks_contain(const struct conf_network *networks, size_t count,
                           const uint8_t ip[static IP_BYTES])
{
    for (size_t i = 0; i < count; i++)
        if (conf_network_contains(&networks[i], ip))
            return true;
    return false;
}
