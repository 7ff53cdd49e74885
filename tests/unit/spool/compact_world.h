/*
 * What the tests of compaction share: a spool that keeps little, and the ways in which they bring
 * its segments to where they are to be emptied. Each fails the test when something goes wrong.
 */
#pragma once

#include "spool_world.h"

#include "spool/compact.h"

int compact_setup(void **state);

/* The book has all that is sealed, and what is to be done is done. */
void compact_fold(struct world *w);
struct spool_counts compact_counts(struct world *w);

/* A group fails in the open log segment, and the segment with it. */
void compact_fail_segment(struct world *w);
/* Opened anew so that nothing is emptied but what failed. */
void compact_open_alone(struct world *w);
/* The same with a message 1 of two recipients: its segment's number. */
uint64_t compact_open_with_one(struct world *w);
/* The same with a large message 1 and a message 2 of that size, which keeps their segment: its
 * number. */
uint64_t compact_open_with_two(struct world *w, size_t size);
/* What lies in the open bulk segment must move: its message is said again in the open log segment.
 * The message of that number comes for it. */
void compact_fail_bulk(struct world *w, unsigned number);
/* Events until the log goes on in another segment. Compaction's task is held back when `held`
 * isn't NULL. */
void compact_pass_segment(struct world *w, struct spool_task **held);
/* Empties what holds nothing alive, and nothing else. */
void compact_empty_dead_segments(struct world *w);
/* Message 1 is done, and all that may go has gone. Nobody brings it back, checkpoint or not. */
void compact_finish_for_good(struct world *w);
