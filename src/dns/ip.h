/*
 * Addresses of hosts (base/ip.h), and which of them no mail server in the public Internet can have.
 */
#pragma once

#include "base/ip.h"

struct dns_ip {
    uint8_t bytes[IP_BYTES];
};

static inline bool dns_ip_equal(const struct dns_ip *a, const struct dns_ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The IPv4 address at which NAT64 (64:ff9b::/96) finds the host; any other address is itself. Not
 * so 6to4: that leads to the whole network behind an IPv4 address. */
struct dns_ip dns_ip_inner(const struct dns_ip *ip);
/* NULL for an address that a stranger's mail server may have. Else what kind of address it is:
 * "private", "loopback", "link-local" and the like (RFC 6890). */
const char *dns_ip_special(const struct dns_ip *ip);
