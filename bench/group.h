/*
 * What the disk allows: bytes that arrive while it writes become one write and one sync, one after
 * the other in a file that was made and filled before. Whoever waits for his bytes is told when the
 * sync that covers them is done. The program ends when something fails.
 */
#pragma once

#include "base/span.h"

/* Makes and fills the file. */
void group_open(const char *path);
/* Becomes readable when a sync is done: then call group_done(). */
int group_fd(void);
void group_add(const char *bytes, size_t size);
/* Tells `who` when all added until now is synced. */
void group_wait(void *who);
/* Starts writing what was added, unless a write is under way. */
void group_start(void);
void group_done(void (*tell)(void *who));
