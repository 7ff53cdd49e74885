/*
 * A thin layer over SQLite for the ledger: opening in the one mode that the book uses, statements
 * prepared once from a table of SQL texts, and errors as -errno.
 *
 *   -ENOSPC  disk or quota full          -EUCLEAN  the file is damaged or no database
 *   -EIO     the disk failed             -EBUSY    another process holds the lock
 *   -EACCES  not permitted               -EPROTONOSUPPORT (schema.h) written by another version
 *   -ENOENT  there is no such file       -EINVAL   our own SQL is wrong
 *   -EROFS   what its -wal has can be read only where a file can be made beside it (ledger_why())
 *   -EREMOTEIO  the disk failed to read: only inside the book, see db_plain_error()
 */
#pragma once

#include "base/span.h"
#include <sqlite3.h>

/* A connection is one thread's at a time. */
struct db {
    sqlite3 *handle;
    sqlite3_stmt **statements; /* by the caller's enum, prepared at first use */
    const char *const *sql;
    size_t statement_count;
};

enum db_mode { DB_WRITE, DB_READ };

/* Whether what can't be read (EIO) is -EUCLEAN like damage, in the whole process: the book must go
 * on some day, and sets a file that it needs aside. Else it is -EREMOTEIO, for a disk that stumbles
 * may read it the next time. */
void db_read_around(bool on);

/* Opens or (DB_WRITE) creates; a commit is durable when it returns. `sql` is the table of statement
 * texts and must be static. In DB_READ the file is never changed, and it also opens where this user
 * may only read it. */
int db_open(const char *path, enum db_mode mode, const char *const *sql, size_t sql_count,
            struct db *out);
/* Finalizes all statements and closes. Also after a failed db_open(). */
void db_done(struct db *db);
/* Another table of statements on the same connection, which must stay open. 0 or -ENOMEM. */
int db_share(const struct db *db, const char *const *sql, size_t sql_count, struct db *out);
/* Finalizes these statements only. Also after a failed db_share(). */
void db_unshare(struct db *shared);

/* Runs SQL text without results: all statements of it, up to the first that fails. 0 or -errno. */
int db_exec(struct db *db, const char *sql);
/* The statement of that index, reset, without bound values; NULL when it can't be prepared (then
 * db_error() says why). Borrowed until the next call for the same index. */
sqlite3_stmt *db_statement(struct db *db, unsigned index);

/* Runs a statement to its end and resets it. 0 or -errno. */
int db_run(sqlite3_stmt *statement);
/* 1: there is a row; 0: done (and reset); -errno. */
int db_step(sqlite3_stmt *statement);
/* The one number that `sql` gives. 0; -ENOENT: there is no row; -errno. */
int db_number(struct db *db, const char *sql, int64_t *out);

/* What the last failed call on the handle means. */
int db_error(const struct db *db);
/* The same of an extended result code; 0 for those that are no error. */
int db_errno(int sqlite_code);
/* For people and other modules: -EREMOTEIO becomes -EIO, all else stays. */
int db_plain_error(int error);
/* Is it the file's own: damaged, or the disk doesn't give it? Who only looks at a file goes on
 * without it then. */
bool db_is_unreadable(int error);

/* Bound bytes must live until the statement was run. An empty span with NULL data is NULL. */
void db_bind_text(sqlite3_stmt *statement, int index, struct span text);
void db_bind_blob(sqlite3_stmt *statement, int index, const void *data, size_t size);
/* NULL instead of `none`. */
void db_bind_int_or_null(sqlite3_stmt *statement, int index, int64_t value, int64_t none);
/* Borrowed until the next step or reset; .data is NULL when the column is NULL. */
struct span db_column(sqlite3_stmt *statement, int index);
/* A number; NULL is `none`. */
uint32_t db_column_or(sqlite3_stmt *statement, int index, uint32_t none);
/* Copies a blob of exactly `size` bytes. False (and zeros) when it isn't one. */
bool db_column_fixed(sqlite3_stmt *statement, int index, void *out, size_t size);
