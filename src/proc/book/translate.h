/*
 * From the follower's records to what the book folds. The spool and the book don't know each other;
 * this is where both are known.
 */
#pragma once

#include "book/fold.h"
#include "spool/follow.h"

struct translator {
    struct fold *fold;
    uint32_t lane;
    struct arena arena; /* for the record at hand */
    int64_t now_us;
    uint64_t strange; /* EVENT records that could not be understood */
};

/* Folds one record, of whatever kind. 0 or the fold's error. */
int translate(struct translator *translator, const struct spool_followed *record);
