/*
 * Finding messages by the finding aid (find.h): those whose key has the hash of a text, the newest
 * first. Each is to be looked at whether it really has the text. Errors as in db.h.
 */
#pragma once

#include "book/find.h"

struct find_cursor;

/* Within a transaction, so that nothing is merged meanwhile. -ENODATA: the file has no aid. */
int find_open(struct db *db, enum find_kind kind, struct span text, struct find_cursor **out);
/* 1: the next one, never the same twice; 0: there are no more. */
int find_next(struct find_cursor *cursor, struct id *out);
/* NULL is fine. */
void find_close(struct find_cursor *cursor);
