/* What the answer to `postbuch status` says, and how it looks to people. All take what the server
 * sent, with each process's figures as an object; what is missing or of another kind counts as 0 or
 * "". */
#pragma once

#include "cli/cli.h"

#include "base/buffer.h"

/* ---- status_trouble.c ---- */

enum status_matter {
    STATUS_PROCESSES,
    STATUS_QUEUE,
    STATUS_NEW_MAIL,
    STATUS_WAITING,
    STATUS_REPORTS, /* to senders */
    STATUS_DROPPED, /* in the drop folder */
    STATUS_BOOK,
    STATUS_MATTERS
};

/* Appends what a person must look at; nothing when all is well. */
void status_trouble(json_t *status, enum status_matter matter, struct buffer *out);
/* Is there such a thing? */
bool status_is_bad(json_t *status);

long long status_number(json_t *object, const char *key);
const char *status_text(json_t *object, const char *key);
bool status_is_ready(json_t *process);
/* The figures of the first process of this name; NULL: it has not answered. */
json_t *status_figures_of(json_t *status, const char *name);
/* "1 message", "2 messages". */
const char *status_counted(char *out, size_t size, long long count, const char *what);

/* ---- status_health.c ---- */

/* Whether all is well, in a few lines, what isn't in red. */
void status_print_health(json_t *status, int64_t now_us);

/* ---- status_figures.c ---- */

/* Every figure on a line of its own, named by its path: "queue.spool.waiting". 0 or -ENOMEM. */
int status_print_figures(json_t *status);
