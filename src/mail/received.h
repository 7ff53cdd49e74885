/*
 * The Received: field that we put in front of a message we take (RFC 5321 4.4): who said to be who,
 * from which address, by which of our hosts, how (RFC 3848), under which queue id, and when. The
 * recipient is named only when there is one, so that no Bcc is told (RFC 5321 7.2).
 */
#pragma once

#include "base/buffer.h"
#include "mail/envelope.h"

/* Appends the field, folded, with CRLF at its end. Peers' text in it is made safe: the field can't
 * be broken out of. 0 or the buffer's error. */
int received_write(const struct envelope *envelope, struct span hostname, struct buffer *out);

enum { RECEIVED_CLIENT_MAX = 64 };

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" from an IPv6 or IPv4-mapped address. */
void received_format_ip(const uint8_t ip[static 16], char out[static RECEIVED_CLIENT_MAX]);
