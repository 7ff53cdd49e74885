/*
 * Is the finding aid (find.h) of a file sound, and does it have what it should? For the audit: who
 * reads and writes the aid sees damage only where it passes by. All keys are read in one ordered
 * walk over all runs, a row of each in memory. Errors as in db.h.
 */
#pragma once

#include "book/find.h"

/* 1: *out_seed is that of the file's aid; 0: it has none. */
int find_check_seed(struct db *db, int64_t *out_seed);

/* Reads all of it, within a transaction, and gives each key once, in order. 0, also when the file
 * has none; -EUCLEAN: damaged. */
int find_check(struct db *db, void *arg, void (*take)(void *arg, const struct find_key *key));
