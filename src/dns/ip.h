/*
 * Addresses of hosts: 16 bytes, IPv4 in its mapped form (RFC 4291 2.5.5.2), and which of them no
 * mail server in the public Internet can have.
 */
#pragma once

#include "base/span.h"

/* INET6_ADDRSTRLEN: the longest text with its NUL. */
enum { DNS_IP_TEXT = 46 };

struct dns_ip {
    uint8_t bytes[16];
};

struct dns_ip dns_ip_from_v4(const uint8_t bytes[static 4]);
/* In its mapped form, ::ffff:0:0/96. */
bool dns_ip_is_v4(const struct dns_ip *ip);
/* "192.0.2.1" or "2001:db8::1"; also a mapped one, which is the IPv4 address. 0 or -EINVAL. */
int dns_ip_parse(struct span text, struct dns_ip *out);
/* The shortest spelling (RFC 5952), with a NUL. */
void dns_ip_format(const struct dns_ip *ip, char out[static DNS_IP_TEXT]);

static inline bool dns_ip_equal(const struct dns_ip *a, const struct dns_ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* NULL for an address that a stranger's mail server may have. Else what kind of address it is:
 * "private", "loopback", "link-local" and the like (RFC 6890). */
const char *dns_ip_special(const struct dns_ip *ip);
