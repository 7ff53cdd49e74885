/*
 * "Why not yet": what a waiting recipient waits for, until when, what went wrong last, and what
 * would make it succeed. From two sources: the queue's row says what it waits for now, the book's
 * entry has the last words of the station and who held it, also after a restart.
 */
#pragma once

#include "book/trace.h"
#include "ipc/control.h"

/* The book's entries of a message. */
struct why_book {
    struct trace_result result;
    bool loaded;
};

/* Reads them; a book that can't be read is as good as none. */
void why_book_load(struct why_book *book, const char *ledger, const struct id *id);
void why_book_done(struct why_book *book);
/* NULL when it isn't known. */
const struct trace_entry *why_book_entry(const struct why_book *book, const struct id *id,
                                         uint32_t index);

/* Lines of text, indented by four. `entry` may be NULL. */
void why_append(const struct ipc_queue_row *row, const struct trace_entry *entry, int64_t now_us,
                struct buffer *out);
/* What must happen for it to succeed: one sentence part. Never NULL. */
const char *why_remedy(const struct ipc_queue_row *row, const struct trace_entry *entry);
/* The words of the last trouble, or "". */
struct span why_trouble(const struct ipc_queue_row *row, const struct trace_entry *entry);
