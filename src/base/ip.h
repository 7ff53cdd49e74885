/*
 * Addresses of hosts: always 16 bytes, IPv4 in its mapped form, ::ffff:0:0/96 (RFC 4291 section
 * 2.5.5.2), so that one form and one comparison serve both families.
 */
#pragma once

#include "base/span.h"

struct sockaddr;

enum {
    IP_BYTES = 16,
    IP_V4_AT = 12, /* where the four bytes of an IPv4 address begin */
    IP_TEXT = 46,  /* the longest, with its NUL */
};

/* "192.0.2.7" or "2001:db8::1", without brackets or zone; also a mapped one, which is the IPv4
 * address. 0, or -EINVAL with the output untouched. */
int ip_parse(struct span text, uint8_t out[static IP_BYTES]);
/* The shortest spelling (RFC 5952), IPv4 in its own; with a NUL. */
void ip_format(const uint8_t ip[static IP_BYTES], char out[static IP_TEXT]);

/* From the four bytes that the network has. */
void ip_from_v4(const void *bytes, uint8_t out[static IP_BYTES]);
/* false: another family, and `out` is untouched. */
bool ip_from_sockaddr(const struct sockaddr *from, uint8_t out[static IP_BYTES]);
bool ip_is_v4(const uint8_t ip[static IP_BYTES]);
