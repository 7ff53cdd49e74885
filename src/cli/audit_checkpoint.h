/* `postbuch audit --checkpoint` and `--verify-checkpoint`: the files, and what is said of them. */
#pragma once

#include "book/audit.h"

struct audit_checkpoint {
    const char *write, *key;         /* paths, or NULL */
    const char *verify, *public_key; /* likewise */
    struct marks reached, expected;
    bool is_signed, signature_holds; /* the one to verify */
};

/* Reads what is to be verified, and the signature. CLI_OK; CLI_USAGE: it can't be read, or is none;
 * CLI_BAD_NEWS: the signature doesn't hold. Complains. */
int audit_checkpoint_load(struct audit_checkpoint *checkpoint);
/* After the audit: writes a new file, unless the chain is broken. CLI_OK or CLI_BAD_NEWS, after a
 * complaint. */
int audit_checkpoint_write(struct audit_checkpoint *checkpoint, const char *host,
                           const struct audit_counts *counts, int64_t now_us);
void audit_checkpoint_done(struct audit_checkpoint *checkpoint);
