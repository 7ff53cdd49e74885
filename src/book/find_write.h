/*
 * Writing the finding aid (find.h), within the transaction of the file that it belongs to. After
 * an error the transaction must be rolled back and the writer freed. Errors as in db.h.
 */
#pragma once

#include "book/find.h"

struct find_writer;

/* `db` is borrowed for the writer's life. */
int find_writer_new(const struct db *db, struct find_writer **out);
void find_writer_free(struct find_writer *writer);

/* False: the file has no aid, or a damaged one, which find_write() may have found out. Then what is
 * added is nowhere; find_make() begins one, within a transaction, and everything that the file has
 * must be added again. */
bool find_is_there(const struct find_writer *writer);
int find_make(struct find_writer *writer);

/* An empty text is no key. The same key may come twice. */
int find_add(struct find_writer *writer, enum find_kind kind, struct span text,
             const struct id *message);
/* Writes what was added; before the transaction is committed. */
int find_write(struct find_writer *writer);
