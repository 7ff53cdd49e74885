/*
 * Compaction: empties a segment that is mostly dead, or that failed (rule 6), so that recycling can
 * take it. What lives in it is written anew as MOVED; outcomes in it that concern MESSAGE records
 * elsewhere are said again as restated STATUS records. Both carry the state as it is when their
 * group is taken, and go before everything else in that group: so whatever the log says of the
 * message later applies to its new home.
 *
 * Who said it must stay as long as the record that it is about is there (rule 5b). Of a message
 * that is gone a restated record says so for good, alone. What ends one that waits will lie in a
 * segment that concerns its home only, so its home must concern all its older records: restated
 * ones go with its MOVED, in one block, and it is moved for that also when it lives elsewhere.
 * Where its home says so already, or is the segment that it is about, it needn't move.
 *
 * It never writes more than it frees: it takes only segments that are free afterwards, of which at
 * most options.compact_percent have to be written again as messages, and 75 percent in all. One of
 * which it is more is looked at again after 1, 2, 4, … 32 checkpoints.
 */
#pragma once

#include "spool/reader.h"

/* A message on its way to a new home. */
struct move {
    struct list link;              /* in spool->moves */
    struct spool_reader *reader;   /* loaded; pins the old home */
    struct record_extent *extents; /* where its bulk lies then; NULL: as before */
    struct spool_extents *uses;    /* with `extents` */
    bool *is_pinned;      /* with `extents`: its new segment, until the message refers to it */
    size_t placed;        /* of `extents` those whose places are known */
    bool lives_elsewhere; /* not in the victim: moved only if its home doesn't say enough */
};

/* An outcome to be said again because the record that said it goes. */
struct restate {
    struct list link; /* in spool->restates */
    struct id id;
    uint64_t home; /* segment of the MESSAGE or MOVED record that still lies somewhere */
};

enum compact_stage {
    COMPACT_SCAN,    /* a thread reads the victim's records */
    COMPACT_MOVE,    /* messages are loaded, and wait for groups */
    COMPACT_RESTATE, /* what no home says waits for groups */
};

/* A message of the victim, or a record in it that concerns another segment. */
struct compact_entry {
    struct id id;
    uint64_t offset; /* message: of its record; 0: it lives elsewhere */
    uint64_t home;   /* concern: the segment of the record that it is about */
    uint64_t bytes;
    bool is_said; /* concern: by the home of its message, too */
};

struct compact_entries {
    struct compact_entry *rows;
    size_t count, capacity;
};

struct compaction {
    struct segment *victim;
    enum compact_stage stage;
    struct compact_entries messages;
    struct compact_entries concerns; /* by id and home */
    size_t next;                     /* of the messages: the first that isn't loaded */
    struct list copies;              /* loaded moves whose bulk must be copied first */
    size_t outstanding;              /* moves and restates that aren't sealed */
    uint64_t room;                   /* for messages that live elsewhere to be written again */
    bool is_unworthy;                /* it would write too much, or what no segment takes */
    bool has_failed;                 /* something is left in it that a later try may move */
    bool was_unread; /* it says something of one that lives elsewhere and wasn't to be read */
};

/* 0 or -ENOMEM. */
int compact_add_entry(struct compact_entries *entries, const struct compact_entry *entry);

/* compact_scan.c: what the victim holds. */
/* NULL: no memory, to be asked again. */
struct spool_task *compact_scan_new(struct spool *spool, struct compaction *compaction);
/* What the victim holds that concerns this message's records elsewhere. NULL, 0: nothing. */
struct compact_entry *compact_concerns(struct compaction *compaction, const struct id *id,
                                       size_t *out_count);

/* bulk_copy.c: for a victim of kind bulk: all messages with extents in it; copying those extents.
 */
int bulk_copy_find(struct spool *spool, const struct segment *segment, struct compact_entries *out);
struct spool_task *bulk_copy_take(struct spool *spool, struct compaction *compaction);
/* The segments of its new extents are its no more. */
void move_unpin_extents(struct spool *spool, struct move *move);

/* Gives up a move that isn't in a group: closes its reader, and frees places of copies that no
 * message refers to. NULL is fine. */
void move_free(struct spool *spool, struct move *move);
/* Queues it for a group, and counts it as outstanding. 0 or -ENOMEM. */
int restate_new(struct spool *spool, const struct id *id, uint64_t home);
