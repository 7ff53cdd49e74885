/*
 * What is in a record: rdata in wire form, names not compressed, as the resolver hands it on. The
 * bytes are a stranger's. 0, or -EINVAL with the output untouched.
 */
#pragma once

#include "dns/ip.h"
#include "dns/name.h"

struct dns_mx_record {
    uint16_t preference;
    char exchange[DNS_TEXT_SIZE]; /* "." alone: a null MX (RFC 7505) */
};

/* RFC 1035 3.3.9. */
int dns_rdata_mx(struct span rdata, struct dns_mx_record *out);
/* A or AAAA (RFC 1035 3.4.1, RFC 3596 2.2); other types: -EINVAL. */
int dns_rdata_ip(uint16_t type, struct span rdata, struct dns_ip *out);
