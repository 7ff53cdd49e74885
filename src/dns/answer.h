/*
 * An answer of the resolver and what it means for mail (docs/manual/routing.md): only a name
 * that exists without the record, and a name that doesn't exist, are knowledge. Everything else is
 * a failure that may pass: a broken, refusing, silent or forged name server says nothing about the
 * domain.
 */
#pragma once

#include "base/buffer.h"

enum dns_security { DNS_INSECURE, DNS_SECURE, DNS_BOGUS };

/* Borrowed: names, records and words are those of who asked the resolver. */
struct dns_answer {
    int error;        /* 0; -ETIMEDOUT; -EIO: it couldn't be asked; or another -errno */
    uint8_t rcode;    /* dns/type.h */
    uint8_t security; /* enum dns_security */
    const struct span *rdata;
    size_t rdata_count;
    struct span why; /* the resolver's words, or "" */
};

/* What an answer lets us conclude. */
enum dns_outcome {
    DNS_OUTCOME_DATA,
    DNS_OUTCOME_NO_DATA,
    DNS_OUTCOME_NO_NAME,
    DNS_OUTCOME_FAILED, /* temporary */
};

enum dns_outcome dns_answer_outcome(const struct dns_answer *answer);

/* The question couldn't be asked, which says nothing of any name. */
bool dns_answer_is_ours(const struct dns_answer *answer);

/* "NXDOMAIN"; "rcode 11" has no name: "an unknown code". */
const char *dns_rcode_name(unsigned rcode);
/* "MX"; of a type that Postbuch doesn't use: "record". */
const char *dns_type_name(unsigned type);

/* Appends how a question failed: "the question for the MX of a.example failed: SERVFAIL (why)".
 * The resolver's words are made fit for a terminal. 0 or the buffer's error. */
int dns_answer_explain(const struct dns_answer *answer, struct span name, unsigned type,
                       struct buffer *out);
