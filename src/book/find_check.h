/*
 * Is the finding aid (find.h) of a file sound? For the audit: who reads and writes the aid sees
 * damage only where it passes by. That it has all keys that the file's messages need is not looked
 * at. Errors as in db.h.
 */
#pragma once

#include "book/db.h"

/* Reads all of it, within a transaction. 0, also when the file has none; -EUCLEAN: damaged. */
int find_check(struct db *db);
