/*
 * What everybody outside wrote down: smtpd what it sent and what it was answered, the book what the
 * log has, carriers what they were given and said, the report process what it wrote, administrators
 * what they asked for. From it follows what must have become of each recipient.
 */
#pragma once

#include "base/list.h"
#include "ipc/control.h"
#include "mail/report.h"
#include "spool/record.h"

enum { NOTES_ADDRESS = 64, NOTES_NAMED = 100, NOTES_BUCKETS = 1024 };

/* One job's work on one recipient. */
struct attempt {
    unsigned life, channel, turn; /* of the answer; `channel`: which of all that were joined */
    uint64_t serial;              /* stands in the text of its result */
    bool answered, heard;         /* heard: the queue must have read the answer */
    uint8_t outcome;              /* enum ipc_outcome, when answered */
    bool booked;                  /* with its own words */
    bool booked_itself;           /* likewise, and not only in what it led to */
};

/* A recipient. */
struct fate {
    char address[NOTES_ADDRESS];
    uint8_t end;      /* enum spool_outcome; 0: the log has none */
    struct id report; /* of who is RETURNED: by which one his sender was told */
    char why[120];    /* of who is DISCARDED */
    bool is_held;     /* so the log says … */
    unsigned held_at; /* … since this turn */
    unsigned said[SPOOL_OUTCOME_MAX + 1], said_by_admin[SPOOL_OUTCOME_MAX + 1];
    unsigned granted[IPC_ACT_COUNT]; /* acts on him alone that were answered as done */
    bool asked[IPC_ACT_COUNT];
    unsigned delivered; /* so a carrier said */
    size_t *attempts;   /* numbers of notes.attempts[] */
    size_t attempt_count;
};

/* A message: one of ours, or a report that the queue made. */
struct letter {
    struct list link;
    struct id id;
    char sender[NOTES_ADDRESS];
    uint8_t notify;            /* enum envelope_notify, of all recipients; 0: nothing was wished */
    bool accepted;             /* so smtpd was told */
    bool sealed;               /* the log has it */
    bool asked[IPC_ACT_COUNT]; /* for all of its recipients */
    unsigned life;             /* in which that was so, or the report was written */
    bool is_report;            /* and of these: */
    uint8_t kind;              /* enum report_kind */
    struct id about;           /* its original, and whom of it it names: */
    char (*named)[NOTES_ADDRESS];
    size_t named_count;
    struct fate *fates;
    size_t fate_count;
};

struct notes {
    struct list buckets[NOTES_BUCKETS];
    struct letter **letters; /* in the order in which they were heard of */
    size_t letter_count;
    struct attempt *attempts;
    size_t attempt_count;
    char failure[400]; /* the first rule that was broken; "": none */
};

void notes_init(struct notes *notes);
void notes_done(struct notes *notes);
/* Only the first counts. */
void notes_fail(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct letter *notes_letter(struct notes *notes, const struct id *id, struct span sender);
/* NULL: nobody has heard of it. */
struct letter *notes_find(const struct notes *notes, const struct id *id);
struct fate *notes_add_fate(struct letter *letter, struct span address);
struct fate *notes_fate_named(struct letter *letter, const char *address);
void notes_name(struct letter *report, struct span address);
/* The newest, or NULL. */
struct attempt *notes_last_attempt(const struct notes *notes, const struct fate *fate);
struct attempt *notes_attempt(struct notes *notes, struct fate *fate);

/* For words about one: static memory. */
const char *notes_text(const struct letter *letter);
