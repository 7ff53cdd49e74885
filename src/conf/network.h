/*
 * Addresses with ports and networks as the configuration names them.
 *
 * Parsers take untrusted text and return 0 or -EINVAL with their output untouched.
 */
#pragma once

#include "base/ip.h"

/* With its NUL: the longest text. */
enum { CONF_NETWORK_TEXT = 54 };

struct conf_network {
    uint8_t ip[IP_BYTES]; /* bits behind the prefix are zero */
    uint8_t prefix;       /* 0…128; an IPv4 network has 96 more than its text says */
};

/* A place to listen or to connect to; the port in the machine's own order. */
struct conf_address {
    uint8_t ip[IP_BYTES];
    uint16_t port;
};

/* A host that is an address, as it stands before a port: IPv6 in brackets, IPv4 without. *out gets
 * the shortest spelling, so that equal hosts are equal bytes. -ENOENT: it is no address. */
int conf_ip_host(struct span host, char out[static IP_TEXT + 2]);
/* 0.0.0.0 or :: */
bool conf_ip_is_any(const uint8_t ip[static IP_BYTES]);

/* "192.0.2.7:25" or "[2001:db8::1]:25"; port 1…65535. */
int conf_address_parse(struct span text, struct conf_address *out);
/* A name server: "192.0.2.1" (port 53), "192.0.2.1@5353", or as conf_address_parse(). */
int conf_server_parse(struct span text, struct conf_address *out);
void conf_address_format(const struct conf_address *address, char out[static CONF_NETWORK_TEXT]);

/* "192.0.2.0/24", "2001:db8::/32", or an address alone. -EDOM when bits behind the prefix are set:
 * whoever writes 10.0.0.1/8 meant something else. */
int conf_network_parse(struct span text, struct conf_network *out);
void conf_network_format(const struct conf_network *network, char out[static CONF_NETWORK_TEXT]);

bool conf_network_contains(const struct conf_network *network, const uint8_t ip[static IP_BYTES]);
bool conf_networks_contain(const struct conf_network *networks, size_t count,
                           const uint8_t ip[static IP_BYTES]);

/* Clears the bits behind the first `prefix`. */
void conf_ip_mask(uint8_t ip[static IP_BYTES], unsigned prefix);
