/*
 * The ways to carry mail on as people write them: "smtp:HOST:PORT" (several, in the order in which
 * they are tried, with commas between), "mx:DOMAIN", "mx".
 */
#pragma once

#include "base/buffer.h"

/* HOST, HOST:PORT or [IPV6]:PORT, cut in two; the port as text, or empty. */
bool conf_split_host(struct span text, struct span *out_host, struct span *out_port);

/* Appends the canonical form: "host:HOST:PORT[,HOST:PORT...]", "mx:DOMAIN", or nothing for "mx".
 * 0, -EINVAL, or the buffer's error; then with what was appended before. */
int conf_read_next_hop(struct span text, struct buffer *out);
