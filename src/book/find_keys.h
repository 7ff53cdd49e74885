/*
 * All that a week's file has by which its messages are to be found: what its finding aid (find.h)
 * must have. Errors as in db.h.
 */
#pragma once

#include "book/find.h"

/* Gives each text to `take`, in no order, some more than once; what that returns, unless it is 0,
 * ends the walk. Within a transaction. */
int find_keys(struct db *db, void *arg,
              int (*take)(void *arg, enum find_kind kind, struct span text,
                          const struct id *message));
/* The text of a session's id: none when there was no session. */
struct span find_session_text(const struct id *session);
