/* Where a log segment ends (rule 2): behind its last good seal. For recovery. */
#pragma once

#include "spool/lane.h"

/* The end of a segment as far as a seal says it. */
struct seals {
    struct spool_position last_seal;
    uint64_t last_sum, sequence, end;
};

/* The last good seal, read past the page cache; `out_tail_end`: behind the last record that was
 * found, if any lies behind that seal, else 0. 0, -ENOMEM, -EPROTONOSUPPORT. */
int ends_find(const struct spool *spool, const struct segment *segment,
              const struct segment_header *header, struct seals *out, uint64_t *out_tail_end);
