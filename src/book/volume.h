/*
 * A volume: one file of the ledger, open for writing. It takes inputs of its week and lane order,
 * writes rows and links, and commits them together with the position that they reach. What it had
 * already folded (by position) it skips, so that a crash between the commits of two files neither
 * loses nor doubles an event.
 *
 * After any error the volume must be closed; what wasn't committed is then as if never folded.
 * -EBUSY: another process has written the file meanwhile, so what is known of it is old.
 * Errors as in db.h.
 */
#pragma once

#include "book/chain.h"
#include "book/db.h"
#include "book/input.h"
#include "book/main_file.h"

/* At a time; and the highest number of one. */
enum { VOLUME_LANES_MAX = 64, VOLUME_LANE_LAST = INT32_MAX };

struct volume;

/* `chain` is borrowed for the volume's life. */
int volume_open(const char *folder, enum week_kind kind, int week, struct chain *chain,
                struct volume **out);
/* Rolls back what wasn't committed. NULL is fine. */
void volume_close(struct volume *volume);

/* As it was opened. */
enum week_kind volume_kind(const struct volume *volume);
int volume_week(const struct volume *volume);

/* One input, within the transaction that the next commit ends. */
int volume_fold(struct volume *volume, const struct book_input *input);
/* Of a lane that the file has, where the stored one is wrong; then commit. */
int volume_set_position(struct volume *volume, const struct book_position *at);
/* Durable when it returns 0. */
int volume_commit(struct volume *volume);
/* How far the chains are that came further since this was last asked; after a commit. */
size_t volume_take_heads(struct volume *volume, struct main_file_head out[static VOLUME_LANES_MAX]);
