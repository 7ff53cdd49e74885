/*
 * Retention: which files of the ledger may go, and their going. First their chain heads are made
 * durable in the main file, then the files are deleted; a crash between leaves a file that the next
 * run deletes. With the last file that had something of a lane the lane goes, too.
 */
#pragma once

#include "book/main_file.h"

struct expire_limits {
    int64_t keep_before_us;
    int64_t refusals_before_us;
    int64_t now_us;
};

/* No file may be open for writing. A file that is damaged or can't be read is kept, and one that
 * fails holds up no other: the first error comes when all were tried. *out_doubts: the clock has
 * just been found far ahead of the last look, so nothing goes for days. Errors as in db.h. */
int expire_files(const char *folder, struct main_file *main, const struct expire_limits *limits,
                 size_t *out_deleted, bool *out_doubts);
