/*
 * The queue's side of `postbuch audit` while the server is stopped: what its next start will find.
 * The spool is recovered in memory, read-only (store_readonly_new()): nothing in it changes. Every
 * byte of each waiting message is read and verified, and what the book hasn't folded yet is read
 * from the log.
 */
#pragma once

#include "book/audit.h"
#include "spool/spool.h"

struct cli_audit_spool {
    const char *spool, *ledger; /* folders */
    bool quick;                 /* messages aren't read, only listed */
    void *arg;
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* messages read; may be NULL */
};

/* 0; -EBUSY: a server has it open, or started meanwhile: what was seen doesn't count; -ENOENT,
 * -EACCES; -EUCLEAN: the book doesn't say up to where it has folded the log; others: it can't be
 * recovered, and `out_obstacle`, else left alone, names the file at which that failed. Damage is
 * told as findings. */
int cli_audit_spool(const struct cli_audit_spool *audit, struct audit_queue *out,
                    struct spool_obstacle *out_obstacle);
