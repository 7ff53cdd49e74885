/*
 * Weeks: the ledger has one file for each ISO 8601 week (UTC) of acceptance, and one for each
 * week's refusals. A week is counted from Monday 1969-12-29, so weeks compare and subtract as
 * numbers.
 */
#pragma once

#include "base/id.h"

enum week_kind { WEEK_ENTRIES, WEEK_REFUSALS };

enum { WEEK_FILE_SIZE = sizeof("refusals-99999-W00.sqlite") + 8 };

/* Times before 1970 count as 1970, those after the year 9999 as its last week. */
int week_of_us(int64_t wall_us);
/* Of the time in the id: when the message was accepted. */
int week_of_id(const struct id *id);
/* The first instant after the week. */
int64_t week_end_us(int week);
/* "book-2026-W47.sqlite", "refusals-2026-W47.sqlite". */
void week_file(enum week_kind kind, int week, char out[static WEEK_FILE_SIZE]);
/* Reads such a name. 0 or -EINVAL (also for names with something behind them). */
int week_parse_file(const char *name, enum week_kind *out_kind, int *out_week);
