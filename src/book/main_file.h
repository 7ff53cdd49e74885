/*
 * book.sqlite: up to where each lane is folded, the chain heads of deleted weeks, and which files
 * were found damaged. Errors as in db.h.
 */
#pragma once

#include "book/chain.h"
#include "book/input.h"

#define MAIN_FILE_NAME "book.sqlite"

struct main_file;

/* What stays of a lane of a deleted file. */
struct main_file_head {
    enum week_kind kind;
    int week;
    struct book_position at;
    uint64_t events;
    struct chain_hash head;
};

int main_file_open(const char *folder, struct main_file **out);
void main_file_close(struct main_file *file);

/* For readers: up to where the last lane was folded; zero when there is no ledger yet. */
int main_file_read_position(const char *folder, struct book_position *out);

/* Zero for a lane that was never folded. */
struct book_position main_file_position(const struct main_file *file, uint32_t lane);
/* The highest lane that was ever folded; 0 when there was none. */
uint32_t main_file_last_lane(const struct main_file *file);
/* Durable when it returns 0. */
int main_file_set_positions(struct main_file *file, const struct book_position *positions,
                            size_t count);

/* Notes that `name` was set aside as `aside`, and sets all positions back to zero, in one. */
int main_file_note_damage(struct main_file *file, const char *name, const char *aside,
                          int64_t now_us);

bool main_file_is_deleted(const struct main_file *file, enum week_kind kind, int week);
/* Durable when it returns 0. */
int main_file_note_deleted(struct main_file *file, const struct main_file_head *heads, size_t count,
                           int64_t now_us);
