/*
 * Descriptors that a process keeps free for what its supervisor sends: sockets and files of a new
 * configuration, channels to peers. Clients or mailboxes may have taken all others, and what the
 * kernel drops of a message for lack of one can't be had again: the channel would be lost.
 *
 * Our own limit is kept below the one that we were started with, by an eighth of it or 64, and
 * raised for the moment of a read. What came stays when the limit sinks again, at its number, while
 * clients take those of the old generation's sockets: so the next generation needs as many again,
 * and there is room for nearly half as many sockets as are kept free. Of more, or when the whole
 * machine has no file left (ENFILE), some may be dropped even so.
 */
#pragma once

#include <stdbool.h>

/* Before anything is opened. Who may have few anyway keeps none. */
void spare_keep(void);
/* They may be used now, or not any more. */
void spare_use(bool now);
