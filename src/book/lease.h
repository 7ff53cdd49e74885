/*
 * The lease of a ledger: who writes it holds one, so that the book of a server that was killed, and
 * still has a batch at hand, and that of the next one never write together. Readers need none.
 *
 * Given back when the descriptor is closed, so at the latest when the process ends.
 */
#pragma once

/* 0: *out_fd is the lease, the caller's to close. -EWOULDBLOCK: another process has it. Else -errno
 * of the file "lock" in `folder`, which is made when it isn't there. */
int lease_take(const char *folder, int *out_fd);
