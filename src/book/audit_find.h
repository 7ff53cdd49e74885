/*
 * Has the finding aid of a file (find.h) all that leads to the file's messages, and nothing else?
 * Both sides are summed up, so memory is bounded however large the file is: what the file has, a
 * message at a time, and all keys of the aid. Where the sums differ, the keys that fall there are
 * looked at one by one. Errors as in db.h.
 */
#pragma once

#include "book/find.h"

struct audit;
struct audit_find;

/* Before the walk over the file's messages. */
int audit_find_new(struct db *db, struct audit_find **out);
/* NULL is fine. */
void audit_find_free(struct audit_find *find);

/* A text of the message at hand; empty or erased: none. */
int audit_find_expect(struct audit_find *find, enum find_kind kind, struct span text);
/* That was all of the message. */
void audit_find_end_message(struct audit_find *find, const struct id *message);
/* When all were walked: reads the aid and tells what is off. */
int audit_find_check(struct audit *audit, struct audit_find *find, struct db *db);
