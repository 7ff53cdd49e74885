/* Inside of the trace: a ledger file open for reading, and loading from it. */
#pragma once

#include "book/db.h"
#include "book/trace.h"

enum trace_statement {
    TRACE_BY_ID,
    TRACE_BY_WAITING,
    TRACE_BY_TIME,
    TRACE_BY_NO_SENDER,
    TRACE_HAS_ADDRESS,
    TRACE_HAS_MESSAGE_ID,
    TRACE_HAS_REMOTE_ID,
    TRACE_HAS_SESSION,
    TRACE_MESSAGE,
    TRACE_ENTRY_COUNT,
    TRACE_ENTRIES,
    TRACE_EVENT_COUNT,
    TRACE_EVENTS,
    TRACE_STATEMENT_COUNT
};

extern const char *const trace_sql[TRACE_STATEMENT_COUNT];

/* The whole of one message; of its entries those that the query asks for.
 * `key`: the query's text as an address is booked; equal to it when it is none. */
int trace_load(struct db *db, const struct trace_query *query, struct span key, const struct id *id,
               struct trace_result *result, struct trace_message *out);

/* A column as text that lives in the result; .data is NULL when it is NULL. */
struct span trace_column(struct trace_result *result, sqlite3_stmt *statement, int column);
