/*
 * Inside of a volume: volume.c (file, lanes, transaction) hands inputs to the sources that write
 * rows, volume_entries.c with volume_restated.c, and volume_refusals.c; what these share is in
 * volume_row.c.
 */
#pragma once

#include "base/ip.h"
#include "book/find_write.h"
#include "book/intern.h"
#include "book/pending.h"
#include "book/volume.h"

enum volume_statement {
    VOLUME_LANE_READ,
    VOLUME_LANE_WRITE,
    VOLUME_STATION_ADD,
    VOLUME_MESSAGE_ADD,
    VOLUME_ENTRY_ADD,
    VOLUME_ENTRY_WRITE,
    VOLUME_ENTRY_KEY,
    VOLUME_ENTRY_UPDATE,
    VOLUME_ENTRY_LIST,
    VOLUME_ENTRY_WAITING,
    VOLUME_EVENT_ADD,
    VOLUME_EVENT_KNOWN,
    VOLUME_REFUSAL_ADD,
    VOLUME_REFUSAL_KNOWN,
    VOLUME_STATEMENT_COUNT
};

struct volume_lane {
    struct book_position at;
    uint64_t events;
    struct chain_hash head; /* the last link */
    bool is_stored;         /* the file has a row of it */
    bool changed, untold;   /* since the commit; since volume_take_heads() */
};

struct volume {
    struct db db;
    enum week_kind kind;
    int week;
    struct chain *chain;
    struct intern *stations;
    struct pending *pending;  /* entries */
    struct find_writer *find; /* of a file of entries */
    struct volume_lane lanes[VOLUME_LANES_MAX];
    size_t lane_count;
    bool begun;
};

/* By volume_find.c: opens the finding aid, and makes one where there is none; writes it, once all
 * rows are written. */
int volume_open_find(struct volume *volume);
int volume_write_find(struct volume *volume);
/* By volume_entries.c and volume_refusals.c. */
int volume_fold_entries(struct volume *volume, struct volume_lane *lane,
                        const struct book_input *input);
/* An event of an entry, unless it is known. `station`: its number, 0 when there is none. */
int volume_happen(struct volume *volume, struct volume_lane *lane,
                  const struct chain_record *record, int64_t station);
/* From the entry of a message at *index (-1: before the first) to the next one; -1 when there is
 * none. `which`: VOLUME_ENTRY_LIST or _WAITING. 0 or -errno. */
int volume_next_entry(struct volume *volume, enum volume_statement which, const struct id *message,
                      int64_t *index);
/* By volume_restated.c. */
int volume_fold_restated(struct volume *volume, struct volume_lane *lane,
                         const struct book_restated *restated);
/* Writes what is pending: before a commit, and before all entries of a message are asked for. */
int volume_write_entries(struct volume *volume);
int volume_fold_refusal(struct volume *volume, struct volume_lane *lane, const struct event *event);

/* ---- volume_row.c ---- */

/* Commitment and link of the lane's next event; the lane's head moves on. */
int volume_next_link(struct volume *volume, struct volume_lane *lane, const uint8_t *key,
                     const struct chain_record *record, struct chain_hash *out_commitment,
                     struct chain_hash *out_link);

/* The first lane of a book is followed from its first record on, each once. A later one begins
 * where the log was found shorter than the book: its spool was made anew, or lost its end, or is an
 * older copy, and then the book has most of what it says. */
static inline bool volume_may_know(const struct volume_lane *lane)
{
    return lane->at.lane > 0;
}
/* 1: it finds a row; 0 or -errno. */
int volume_row_is_known(sqlite3_stmt *statement);

/* The address as text, "" for zero. */
struct span volume_ip_text(const uint8_t ip[static IP_BYTES], char out[static IP_TEXT]);

/* Text that isn't there is stored as '', because NULL means "erased". */
static inline struct span volume_text(struct span s)
{
    return s.size ? s : SPAN("");
}
