/* How rows of the queue look: to people as a table or in full, to programs as JSON. */
#pragma once

#include "book/trace.h"
#include "cli/cli.h"
#include "ipc/catalogue.h"

/* A page of the list; `first`: with titles. 0 or -ENOMEM. */
int queue_print_page(const struct ipc_queue_page *page, bool first);
/* All that is known of one recipient, also to the book (`entry`, may be NULL); `with_message`: its
 * message's facts before. */
void queue_print_full(const struct ipc_queue_row *row, const struct trace_entry *entry,
                      int64_t now_us, bool with_message);
/* Objects as docs/manual has them, the caller's; NULL without memory. */
json_t *queue_row_json(const struct ipc_queue_row *row);
json_t *queue_row_json_full(const struct ipc_queue_row *row, const struct trace_entry *entry);

/* By destination and age, on standard output. 0 or -ENOMEM. */
int queue_print_summary(const struct ipc_queue_summary *summary);
json_t *queue_summary_json(const struct ipc_queue_summary *summary);

/* The word for one bit of enum ipc_queue_state; "unknown" for any other. */
const char *queue_state_name(uint8_t state);
/* One bit, or 0 when there is no such state. */
uint8_t queue_state_by_name(const char *name);
