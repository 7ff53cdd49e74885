/*
 * The addresses in a To:, Cc: or Bcc: field (RFC 5322 3.4 address-list, with groups and the
 * obsolete forms), or on sendmail's command line: comments, display names, groups' names and source
 * routes are left out. What comes out is text for address_parse(), not yet an address.
 */
#pragma once

#include "base/buffer.h"

/* Puts the next address into *out (cleared first) and takes it off the front of *rest. 1: there is
 * one; 0: the list is at its end; -EINVAL: what was taken off can't be an address (words without
 * angle brackets, an open quote): *out shows it, and the list goes on after it; or the buffer's
 * error. */
int address_list_next(struct span *rest, struct buffer *out);
