/*
 * When the book opens: does each week's file have what the main file knows of it? What is off and
 * can be mended is mended. Errors as in db.h.
 */
#pragma once

#include "book/main_file.h"

/* The last file of each kind, or "". */
struct ledger_check {
    char lacking[WEEK_FILE_SIZE];   /* lacks events: all positions are back at zero */
    char displaced[WEEK_FILE_SIZE]; /* had a wrong position, which was set right */
};

/* How many recipients wait by the book. Reads an index of just these. */
int ledger_count_waiting(const char *folder, uint64_t *out);

int ledger_check(const char *folder, struct main_file *main, struct chain *chain, int64_t now_us,
                 struct ledger_check *out);
