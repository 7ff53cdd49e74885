/*
 * Changes to a users file's text that leave all else as it is: comments, blank lines, order, and
 * lines that don't parse. Pure.
 */
#pragma once

#include "base/buffer.h"
#include "people/users.h"

/* Appends the text with a line "address:verifiers:senders" added at its end. 0, -EEXIST when the
 * address is there already, -EINVAL when it can't be written there, or the buffer's error. */
int users_edit_add(struct span text, const struct address *address, struct span verifiers,
                   struct span senders, struct buffer *out);
/* Without the address's line; a comment when nothing is left. 0, -ENOENT, or the buffer's error. */
int users_edit_remove(struct span text, const struct address *address, struct buffer *out);
/* With other verifiers in the address's line. 0, -ENOENT, or the buffer's error. */
int users_edit_verifiers(struct span text, const struct address *address, struct span verifiers,
                         struct buffer *out);

/* Calls `fn` for each line that is a user, in order. */
void users_each(struct span text, void (*fn)(void *arg, const struct users_line *line), void *arg);
