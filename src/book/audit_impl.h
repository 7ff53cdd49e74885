/*
 * Inside of the audit: one run, and its parts. audit.c calls what checks (audit_chain.c and so on);
 * these tell what is off (audit_finding.c) and open files (audit_file.c).
 */
#pragma once

#include "base/arena.h"
#include "book/audit.h"
#include "book/chain.h"
#include "book/db.h"
#include "book/main_file.h"

enum audit_statement {
    AUDIT_SQL_INTEGRITY,
    AUDIT_SQL_LANES,
    AUDIT_SQL_EVENTS,
    AUDIT_SQL_MESSAGES,
    AUDIT_SQL_ENTRIES,
    AUDIT_SQL_ENTRY_EVENTS,
    AUDIT_SQL_WAITING,
    AUDIT_SQL_REFUSALS,
    AUDIT_SQL_DAMAGE,
    AUDIT_SQL_ANEW,
    AUDIT_SQL_DELETED,
    AUDIT_SQL_IS_DELETED,
    AUDIT_SQL_ACKNOWLEDGED_ENTRY,
    AUDIT_SQL_ACKNOWLEDGED_MESSAGE,
    AUDIT_SQL_ACKNOWLEDGED_ALONE,
    AUDIT_SQL_LOST,
    AUDIT_STATEMENT_COUNT
};

/* What can be acknowledged. The numbers are part of the tokens (docs/formats/book.md). */
enum audit_for_good {
    AUDIT_GOOD_DAMAGED = 1,  /* an event of that kind; facts: time and commitment */
    AUDIT_GOOD_ORPHAN,       /* no facts */
    AUDIT_GOOD_EXPANSION,    /* facts: a byte of a child without its parent, else none */
    AUDIT_GOOD_NOT_IN_QUEUE, /* by EVENT_LOST; no facts */
    AUDIT_GOOD_LOST_FILE,    /* facts: kind, week, lane, events, head */
};

struct audit_acknowledgements;

struct audit {
    const struct audit_options *options;
    struct audit_counts *counts;
    struct chain *chain;
    char file[WEEK_FILE_SIZE];
    int week;
    bool was_remade; /* the file, or the whole ledger: made anew from what the log still held */
    struct main_file_heads heads, lost; /* how far the chains must be; were before a damage */
    struct audit_set late;              /* wait, but by the book they shouldn't any more */
    struct db *db;                      /* the week's file that is looked at, or NULL */
    struct audit_acknowledgements *acknowledgements; /* of what is about no message */
    struct arena held;                               /* findings of that file, and their texts */
    struct held_finding *first_held, *last_held;
};

/* audit_finding.c */
void audit_tell(struct audit *audit, enum audit_kind kind, const struct id *id, uint32_t index,
                const char *text);
/* The same, in all its parts but the file; one that is acknowledged counts as such. */
void audit_tell_finding(struct audit *audit, struct audit_finding finding);
/* Of a week's file findings are held until it is closed, when the caller tells them. */
void audit_tell_held(struct audit *audit);
void audit_progress(struct audit *audit, uint64_t done, uint64_t total);

/* audit_file.c: a file of the ledger, to read. Errors as in db.h. */
int audit_open_week(const char *folder, const struct ledger_file *file, struct db *db);
int audit_open_main(const char *folder, struct db *db);

/* audit_acknowledged.c: what can be acknowledged is told by these, or only counted when it was. */
void audit_tell_for_good(struct audit *audit, enum audit_for_good what, const struct id *id,
                         uint32_t index, struct span facts, const char *text);
/* One that an administrator booked as lost. */
void audit_tell_lost_entry(struct audit *audit, const struct id *id, uint32_t index);
/* Of all files that are checked, before the first is looked at. 0 or -ENOMEM. */
int audit_load_acknowledgements(struct audit *audit, const char *folder,
                                const struct ledger_list *list);
void audit_free_acknowledgements(struct audit_acknowledgements *all);

/* audit_chain.c: every link and commitment of a file. */
int audit_check_events(struct audit *audit, struct db *db);
int audit_check_refusals(struct audit *audit, struct db *db);
/* audit_entries.c: every entry's state, orphans, expansions, what is overdue, the finding aid. */
int audit_check_entries(struct audit *audit, struct db *db);
int audit_collect_waiting(struct db *db, struct audit_set *set);
/* audit_marks.c: the next mark of a chain behind that many events; NULL: none. */
const struct mark *audit_next_mark(const struct audit *audit, enum week_kind kind, uint32_t lane,
                                   uint64_t after);
/* The chain has as many events as *next says, the last one with this link. */
void audit_check_mark(struct audit *audit, const struct mark **next, const struct chain_hash *link);
int audit_end_chain(struct audit *audit, const struct mark *next, const struct mark *end);
/* Marks of files that aren't there, or aren't checked. */
int audit_check_lost_marks(struct audit *audit, const char *folder, const struct ledger_list *list);
/* audit_heads.c: before the files are looked at; at the end of a chain; after all files. */
int audit_load_heads(struct audit *audit, const char *folder);
/* `at`: up to where its lane is folded, by the file. */
void audit_compare_head(struct audit *audit, const struct mark *end,
                        const struct book_position *at);
/* The next of `lost` behind that many events of a chain; NULL: none. */
const struct main_file_head *audit_next_lost(const struct audit *audit, enum week_kind kind,
                                             uint32_t lane, uint64_t after);
void audit_tell_lost(struct audit *audit, const struct main_file_head *lost);
/* The file has no tables: should it? */
void audit_check_empty(struct audit *audit, enum week_kind kind);
int audit_check_missing(struct audit *audit, const char *folder, const struct ledger_list *list);
/* audit_queue.c: the queue against the book, when the files were checked; then what is overdue. */
int audit_check_queue(struct audit *audit, const char *folder);
