/*
 * Replacing a file atomically: whoever reads it sees the old or the new one, whole, and after a
 * power cut it is one of the two. Its owner and mode stay. A lock on the file keeps others who
 * change it by this way out from reading to renaming.
 */
#pragma once

#include "base/span.h"

struct cli_replace {
    const char *path; /* borrowed */
    int fd;           /* the locked file; -1: none */
    int unsynced;     /* of a file that was replaced: why a power cut may bring the old one back */
};

/* Locks the file, waiting for others. 0 or -errno. */
int cli_replace_begin(struct cli_replace *replace, const char *path);
/* 0, also when only the folder can't be synced (`unsynced`), or -errno, and then the old file is
 * still there. */
int cli_replace_write(struct cli_replace *replace, struct span text);
/* Unlocks; also after a failed begin. */
void cli_replace_end(struct cli_replace *replace);
