/* Trust anchors: a file of DS or DNSKEY records in the text form of zone files (RFC 1035 5.1). */
#pragma once

#include "base/buffer.h"

/* The next record of *rest as one line, without comments and parentheses. False: no more. */
bool anchor_next(struct span *rest, struct buffer *out_line);
