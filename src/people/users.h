/*
 * A users file, one line an address:
 *
 *     address:verifier[,verifier...]:further sender addresses, comma-separated
 *
 * A verifier is a crypt(5) hash ("$y$..."), "{SCHEME}..." or "*" (no login). Blank lines and lines
 * that start with # are left alone. The parser works on one line and tells what is wrong with it.
 */
#pragma once

#include "mail/address.h"

struct users_line {
    struct address address;
    struct span verifiers; /* comma-separated, each checked for its form */
    struct span senders;   /* comma-separated, each a valid address; may be empty */
};

/* 0; 1: a blank line or comment; -EINVAL, with what is wrong and how to mend it in *out_why and the
 * offset of the bad part in *out_at. *out is undefined unless 0. */
int users_line_parse(struct span line, struct users_line *out, const char **out_why,
                     size_t *out_at);

/* The next of a comma-separated list, trimmed, taken off the front of *rest; false at the end. */
bool users_next_item(struct span *rest, struct span *out_item);
