/* What `postbuch audit` prints: findings as they come, progress, and the sums at the end. */
#pragma once

#include "cli/audit_checkpoint.h"

#include <jansson.h>

struct audit_print {
    bool json;
    bool progress_shown;
    json_t *findings;     /* with `json`: an array, printed with the result */
    json_t *acknowledged; /* likewise, what was ticked off before */
    bool tells_acknowledged;
    const struct audit_checkpoint *checkpoint;
    const char *not_compared; /* why the queue wasn't; "" */
    bool is_bad;              /* … and that is bad news */
};

/* Callbacks of the audit; `arg` is a struct audit_print. */
void audit_print_finding(void *arg, const struct audit_finding *finding);
void audit_print_progress(void *arg, const char *file, uint64_t done, uint64_t total);

/* The same of what can't be counted. */
void audit_print_waiting(struct audit_print *print, const char *what);
/* Takes the line of progress off the terminal, before anything else is printed; does nothing when
 * there is none. */
void audit_print_end_progress(struct audit_print *print);
/* The sums, and with `json` all that was found: so the one object comes at the end. */
void audit_print_result(struct audit_print *print, const struct audit_counts *counts);
/* With `json`, instead of the sums: what was acknowledged now. */
void audit_print_acknowledged(struct audit_print *print, uint64_t count, bool ok);
/* Frees what it holds. */
void audit_print_done(struct audit_print *print);
