/*
 * Names of the DNS: text <-> wire form (RFC 1035 3.1), without compression. Both come out in lower
 * case (RFC 4034 6.2), so that equal names have equal bytes.
 *
 * Text has no dot at the end; the root is ".". A byte that isn't printable ASCII becomes \DDD, a
 * dot or backslash within a label gets a backslash before it (RFC 1035 5.1).
 *
 * 0, or -EINVAL with the outputs untouched.
 */
#pragma once

#include "base/span.h"

enum {
    DNS_LABEL_MAX = 63,
    DNS_WIRE_MAX = 255,               /* RFC 1035 2.3.4 */
    DNS_TEXT_MAX = 4 * DNS_WIRE_MAX,  /* every byte escaped */
    DNS_TEXT_SIZE = DNS_TEXT_MAX + 1, /* with a NUL */
};

/* A dot at the end of the text is allowed. */
int dns_name_from_text(struct span text, uint8_t out_wire[static DNS_WIRE_MAX], size_t *out_size);

/* The name at the start of `wire`; *out_used are its bytes. The text gets a NUL. */
int dns_name_to_text(struct span wire, char out_text[static DNS_TEXT_SIZE], size_t *out_used);
