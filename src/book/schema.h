/*
 * The tables of the ledger's files and their versions; docs/formats/book.md describes them for
 * people who open a file with a tool of their own.
 *
 *   book.sqlite               where the fold stands, how far the chain of each file is, and of
 *                             each deleted one
 *   book-2026-W47.sqlite      messages accepted in that week, their entries and all their events
 *   refusals-2026-W47.sqlite  refusals of that week
 */
#pragma once

#include "book/db.h"
#include "book/week.h"

enum schema_kind { SCHEMA_ENTRIES, SCHEMA_REFUSALS, SCHEMA_MAIN };

enum { SCHEMA_VERSION = 2, SCHEMA_APPLICATION_ID = 0x506f7374 /* "Post" */ };

/* Makes the tables of an empty file, or checks version and tables of one that has some.
 * -EPROTONOSUPPORT: written by a newer Postbuch, or by one before the first release. -EUCLEAN: a
 * database, but not one of ours, or of another kind, or with damaged names. */
int schema_make(struct db *db, enum schema_kind kind);
/* Of a week's file. */
static inline enum schema_kind schema_of_week(enum week_kind kind)
{
    return kind == WEEK_ENTRIES ? SCHEMA_ENTRIES : SCHEMA_REFUSALS;
}

/* Only checks. -ENODATA: there are no tables yet, the book is just making them. */
int schema_check(struct db *db, enum schema_kind kind);
