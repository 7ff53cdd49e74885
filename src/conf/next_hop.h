/*
 * The ways to carry mail on as people write them: "smtp:HOST:PORT" (several, in the order in which
 * they are tried, with commas between), "mx:DOMAIN", "mx".
 */
#pragma once

#include "base/buffer.h"

/* HOST, HOST:PORT or [IPV6]:PORT, cut in two; the port as text, or empty. */
bool conf_split_host(struct span text, struct span *out_host, struct span *out_port);

/* "smtp:HOST[:PORT]": appends its canonical form, "host:HOST:PORT" to an empty buffer and
 * ",HOST:PORT" to one that has hosts. 0, -EINVAL, or the buffer's error; then with what was
 * appended before. */
int conf_read_host(struct span text, struct buffer *out);

/* Any of the three, into an empty buffer: "host:HOST:PORT[,HOST:PORT...]", "mx:DOMAIN", or nothing
 * for "mx". The same errors. */
int conf_read_next_hop(struct span text, struct buffer *out);
