/*
 * The fold: from inputs in log order to the ledger's files, each exactly once.
 *
 * A batch is whatever was folded since the last commit. fold_commit() first commits the week files,
 * each with the position it reached, then the main file's position. On restart folding goes on at
 * the main file's position, and a week file that was ahead skips what it has.
 *
 * After an error nothing of the batch counts: follow the log again from fold_position(). -EUCLEAN
 * means that a damaged file was set aside (`damage` of what is told), or that one lacks events, or
 * had been deleted while the clock was ahead (`lacking`); fold_position() is then back at zero, so
 * that the file is made anew from what the log still holds. Other errors as in db.h.
 */
#pragma once

#include "book/input.h"
#include "book/ledger.h"
#include "book/volume.h"

struct fold;

/* Opens or makes the ledger in `folder`, which must exist. `now_us` names what is set aside.
 * Files that lack what the book had (removed, cut short, an older copy) are noticed here, and
 * positions are back at zero so that the log's part of it is folded again. `told` is borrowed for
 * the fold's life and gets all that is found, also by an opening that then fails: the next one
 * finds a mended folder. Who told it empties it. */
int fold_open(const char *folder, int64_t now_us, struct ledger_told *told, struct fold **out);
/* Without a commit. NULL is fine. */
void fold_close(struct fold *fold);

/* From where on the lane must be followed. Only what was committed. */
struct book_position fold_position(const struct fold *fold, uint32_t lane);

/* The lane that was begun last. A spool that was made anew starts again at the first position: its
 * records belong to the next lane. */
uint32_t fold_last_lane(const struct fold *fold);
/* The number of the next one. 0; -E2BIG: with it the ledger would have more lanes than it can tell
 * apart. */
int fold_next_lane(const struct fold *fold, uint32_t *out);

/* One input of the batch, in the order of the log. `input` is borrowed for the call. */
int fold_input(struct fold *fold, const struct book_input *input, int64_t now_us);
/* The log was read up to `position`, and there was nothing to fold. */
int fold_skip(struct fold *fold, const struct book_position *position);
/* The lane is followed from its beginning, although its log already has come to `end`: the ledger,
 * or a file of it, is made anew. Before there it may turn out that the log lacks segments, which
 * were let go when they weren't needed any more (fold_note_gone()). */
int fold_begin_anew(struct fold *fold, const struct book_position *end, int64_t now_us);
/* Segments before `at` were let go before they could be followed. 1: the first time in a lane that
 * is made anew. From then on BOOK_RESTATED closes who waits by the book alone, in those files that
 * were damaged or missing when the lane was begun; what it says may come as late as the log's
 * present `end`, or a little later. 0: known, or the lane isn't made anew,
 * which one with positions of another lane beside it never is: it is the next log. */
int fold_note_gone(struct fold *fold, const struct book_position *at,
                   const struct book_position *end, int64_t now_us);
/* Is that still in the part of the log that there was when the lane was begun? There segments may
 * lack that were let go by then; behind it each had to wait for this book. */
bool fold_is_anew(const struct fold *fold, const struct book_position *at);
/* How many inputs wait for the commit. */
size_t fold_pending(const struct fold *fold);
/* Durable when it returns 0: the spool may then let go of what was folded. */
int fold_commit(struct fold *fold, int64_t now_us);

struct fold_deleted {
    size_t files;
    bool doubts; /* the clock has just been found far ahead of the last look: nothing goes for days
                  */
};
/* Deletes entry files that ended before `keep_before_us` and have no waiting entry, and refusal
 * files that ended before `refusals_before_us`. Their chain heads stay in the main file. Nothing
 * may be pending. Call it every hour: who looks seldom finds the clock far ahead each time. */
int fold_expire(struct fold *fold, int64_t keep_before_us, int64_t refusals_before_us,
                int64_t now_us, struct fold_deleted *out);
