/* Want of memory for a report, for tests that are linked with -Wl,--wrap=undelivered_new. */
#pragma once

#include "proc/queue/returns/undelivered.h"

/* So often there is no memory for a report to be. */
static unsigned no_memory;

struct undelivered *__real_undelivered_new(struct queue *q, const struct id *id,
                                           enum report_kind kind);
struct undelivered *__wrap_undelivered_new(struct queue *q, const struct id *id,
                                           enum report_kind kind);

struct undelivered *__wrap_undelivered_new(struct queue *q, const struct id *id,
                                           enum report_kind kind)
{
    return no_memory && no_memory-- ? NULL : __real_undelivered_new(q, id, kind);
}
