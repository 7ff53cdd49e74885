/*
 * When the book opens: does each week's file have what the main file knows of it? What is off and
 * can be mended is mended. Errors as in db.h.
 */
#pragma once

#include "book/ledger.h"
#include "book/main_file.h"

/* How many recipients wait by the book. Reads an index of just these. */
int ledger_count_waiting(const char *folder, uint64_t *out);

/* Files that nobody may write, since they couldn't be looked at. */
struct ledger_unchecked {
    struct ledger_unchecked_file {
        struct ledger_file file;
        int error;
    } * list;
    size_t count;
};
/* 0, or why that file couldn't be looked at. */
int ledger_unchecked_error(const struct ledger_unchecked *unchecked, enum week_kind kind, int week);
/* It is set aside. */
void ledger_unchecked_forget(struct ledger_unchecked *unchecked, enum week_kind kind, int week);
void ledger_unchecked_done(struct ledger_unchecked *unchecked);

/* `told` gets what was found as soon as it is noted, also when a later file fails. *out is the
 * caller's after errors, too. */
int ledger_check(const char *folder, struct main_file *main, struct chain *chain, int64_t now_us,
                 struct ledger_told *told, struct ledger_unchecked *out);
/* Looks again at one that is unchecked: it is forgotten there when it could be looked at. One of
 * which the main file knows nothing stays as it is. 1: it lacks events, so that all positions are
 * back at zero; 0. An error is none of that file's. */
int ledger_check_again(const char *folder, struct main_file *main, struct chain *chain,
                       int64_t now_us, struct ledger_told *told, const struct ledger_file *file,
                       struct ledger_unchecked *unchecked);
