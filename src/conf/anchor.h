/* Trust anchors: a file of DS or DNSKEY records in the text form of zone files (RFC 1035 5.1). */
#pragma once

#include "conf/conf.h"

enum { ANCHOR_MAX = 256 * 1024 };

/* The next record of *rest as one line, without comments and parentheses. False: no more. */
bool anchor_next(struct span *rest, struct buffer *out_line);

/* 0; -ENOENT: it holds no DS or DNSKEY record and validates nothing, and whoever has none asks
 * nobody; -ENOMEM. */
int anchor_check(struct span text);

/* Reads the file that `resolver: trust_anchor` names, if it names one, for `postbuch check-config`
 * and a reload. What is wrong is in `problems`; 0 or -EINVAL. */
int anchor_check_file(const struct conf *conf, struct conf_problems *problems);
