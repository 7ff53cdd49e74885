/*
 * A few descriptors that a process keeps free for what its supervisor sends: sockets and files of a
 * new configuration, channels to peers. Clients or mailboxes may have taken all others, and what
 * the kernel drops of a message for lack of one can't be had again: the channel would be lost.
 *
 * Our own limit is kept below the one that we were started with, and raised for the moment of a
 * read. What came stays when the limit sinks again.
 */
#pragma once

#include <stdbool.h>

/* A generation is seldom more, and takes as many back at its end. */
enum { SPARE_DESCRIPTORS = 64 };

/* Before anything is opened. Who may have few anyway keeps none. */
void spare_keep(void);
/* They may be used now, or not any more. */
void spare_use(bool now);
