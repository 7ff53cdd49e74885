/*
 * The ledger folder seen from outside: which files it has. For readers and for retention.
 */
#pragma once

#include "book/week.h"

struct ledger_file {
    enum week_kind kind;
    int week;
};

struct ledger_list {
    struct ledger_file *files; /* by kind, the newest week first */
    size_t count;
};

/* 0; -ENOENT, -EACCES, -EIO; -ENOMEM. ledger_list_done() is fine after any of them. */
int ledger_list(const char *folder, struct ledger_list *out);
void ledger_list_done(struct ledger_list *list);
