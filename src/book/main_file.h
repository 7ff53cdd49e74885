/*
 * book.sqlite: up to where each lane is folded, how far the chain of each week's file is (so that
 * a file that was removed, or one put in its place, is noticed), the chain heads of deleted weeks,
 * and which files were found damaged. Errors as in db.h.
 */
#pragma once

#include "book/chain.h"
#include "book/db.h"
#include "book/input.h"

#define MAIN_FILE_NAME "book.sqlite"

struct main_file;

/* What stays of a lane of a deleted file; of one that is there, what it must have at least. */
struct main_file_head {
    enum week_kind kind;
    int week;
    struct book_position at;
    uint64_t events;
    struct chain_hash head;
};

/* Opens or makes it; *out is the caller's. */
int main_file_open(const char *folder, struct main_file **out);
/* NULL is fine. */
void main_file_close(struct main_file *file);

/* Was a byte of the positions damaged when it was opened, and mended? */
bool main_file_was_mended(const struct main_file *file);

/* For readers: up to where the last lane was folded; zero when there is no ledger yet. And whether
 * a byte of that is damaged; what is told is right all the same. */
int main_file_read_position(const char *folder, struct book_position *out, bool *out_was_damaged);

/* From a row of kind, week, lane, segment, offset, events, head. */
void main_file_column_head(sqlite3_stmt *row, struct main_file_head *out);

struct main_file_heads {
    struct main_file_head *list; /* by kind and week; free() it */
    size_t count;
};
/* What each week's file must have. */
int main_file_heads(struct main_file *file, struct main_file_heads *out);
/* Of which table. */
enum main_file_heads_kind {
    MAIN_FILE_CHAINS, /* what each file must have */
    MAIN_FILE_LOST    /* what those had that were damaged or lacked events, before that */
};
/* For readers; none when there is no ledger yet. */
int main_file_read_heads(const char *folder, enum main_file_heads_kind kind,
                         struct main_file_heads *out);

/* Zero for a lane that was never folded. */
struct book_position main_file_position(const struct main_file *file, uint32_t lane);
/* The highest lane that was ever folded; 0 when there was none. */
uint32_t main_file_last_lane(const struct main_file *file);
/* How many it knows. */
size_t main_file_lane_count(const struct main_file *file);
/* Was another than this one followed? */
bool main_file_has_other_lane(const struct main_file *file, uint32_t lane);
/* Forgets those, but the last, of which no file has anything. Durable when it returns 0. -EBUSY as
 * below. */
int main_file_drop_lanes(struct main_file *file);
/* With how far the chains of week files are, which must be durable. Durable when it returns 0.
 * -EBUSY: another process has written them since they were read; open the file anew. */
int main_file_set_positions(struct main_file *file, const struct book_position *positions,
                            size_t count, const struct main_file_head *heads, size_t head_count);

/* Notes that `name` was set aside as `aside` ("": it isn't whole, but stays), forgets how far its
 * chain was, and sets all positions back to zero, in one. */
int main_file_note_damage(struct main_file *file, const char *name, const char *aside,
                          int64_t now_us);

/* A lane that was followed from its beginning when its log had been written for some time. */
struct main_file_anew {
    struct book_position until; /* zero, but for the lane: it never was */
    int64_t found_us;           /* when it was found that the log lacks segments; 0: it wasn't */
};
struct main_file_anew main_file_anew(const struct main_file *file, uint32_t lane);
/* Durable when it returns 0. */
int main_file_set_anew(struct main_file *file, const struct main_file_anew *anew);
/* Was the file damaged, or didn't it exist, so that it lacks what a lane that is followed from its
 * beginning said before? Until a position is set at which that lane's `until` is. 1, 0. */
int main_file_is_remade(struct main_file *file, enum week_kind kind, int week);
/* That it doesn't exist yet; main_file_note_damage() notes the others. Durable when it returns 0.
 */
int main_file_note_remade(struct main_file *file, enum week_kind kind, int week);

/* By retention: its events aren't folded any more. */
bool main_file_is_deleted(const struct main_file *file, enum week_kind kind, int week);
/* A week that was deleted later than now went by a wrong clock: it is one that lacks what it had
 * then, as for main_file_note_damage(). 1; 0: it is deleted for good. */
int main_file_revive(struct main_file *file, enum week_kind kind, int week, int64_t now_us);
/* With the ends of their chains, one of each lane. Durable when it returns 0. */
int main_file_note_deleted(struct main_file *file, const struct main_file_head *heads, size_t count,
                           int64_t now_us);
/* That the file lost events. Durable when it returns 0. */
int main_file_forget_lost(struct main_file *file, enum week_kind kind, int week);

/* What retention knows of the clock. */
struct main_file_clock {
    int64_t looked_us;  /* the last look; 0: never */
    int64_t trusted_us; /* nothing is deleted before then */
};
struct main_file_clock main_file_clock(const struct main_file *file);
int main_file_set_clock(struct main_file *file, const struct main_file_clock *clock);
