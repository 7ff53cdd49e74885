/*
 * From the follower's records to what the book folds. The spool and the book don't know each other;
 * this is where both are known.
 */
#pragma once

#include "book/fold.h"
#include "spool/follow.h"

struct translator {
    struct fold *fold;  /* borrowed, set anew with each that is opened */
    uint32_t lane;      /* of the book: a spool that was made anew is the next one (fold.h) */
    struct arena arena; /* for the record at hand */
    int64_t now_us;     /* of the wall clock: for what the record itself has no time of */
    struct spool_position limit; /* up to where the log may be read */
    uint64_t strange;            /* EVENT records that could not be understood */
};

/* Folds one record, of whatever kind; borrowed for the call. 0; -ENOMEM; or the fold's error, after
 * which nothing of the batch counts. An EVENT that can't be understood is counted, logged and
 * passed over: it is no error. */
int translate(struct translator *translator, const struct spool_followed *record);
