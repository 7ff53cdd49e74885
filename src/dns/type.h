/* Numbers of the DNS that Postbuch uses. */
#pragma once

/* Types of records (RFC 1035 3.2.2, RFC 3596). */
enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_MX = 15,
    DNS_TYPE_AAAA = 28,
};

enum { DNS_CLASS_IN = 1 };

/* Answer codes (RFC 6895 2.3). */
enum dns_rcode {
    DNS_RCODE_NOERROR,
    DNS_RCODE_FORMERR,
    DNS_RCODE_SERVFAIL,
    DNS_RCODE_NXDOMAIN,
    DNS_RCODE_NOTIMP,
    DNS_RCODE_REFUSED,
};
