/*
 * The ledger folder seen from outside: which files it has, and what is to be told of them.
 */
#pragma once

#include "book/db.h"
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
bool ledger_list_has(const struct ledger_list *list, enum week_kind kind, int week);

enum { LEDGER_PATH_SIZE = 4096 };

/* Of a week's file. 0; -ENAMETOOLONG: cut it would be that of another. */
int ledger_path(const char *folder, const struct ledger_file *file,
                char out[static LEDGER_PATH_SIZE]);
/* The same as db_open(). */
int ledger_open(const char *folder, const struct ledger_file *file, enum db_mode mode,
                const char *const *sql, size_t sql_count, struct db *out);

/* Why it or a file of it can't be read, for people. Borrowed until the next call. */
const char *ledger_why(int error);

/* What people must hear of files, once: the last name of each, or "". */
struct ledger_told {
    char damage[WEEK_FILE_SIZE + 32]; /* under which it was set aside */
    char lacking[WEEK_FILE_SIZE];     /* lacks events: all positions are back at zero */
    char displaced[WEEK_FILE_SIZE];   /* had a wrong position, which was set right */
    char unread[WEEK_FILE_SIZE];      /* must be read first, and can't be: the opening fails */
};
