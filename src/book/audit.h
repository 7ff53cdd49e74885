/*
 * The audit: proves the law of conservation from the ledger, and compares it with the queue.
 *
 *   accepted = delivered + relayed + expanded + returned + discarded + closed + waiting
 *
 * The queue is compared recipient by recipient: with a running server by asking it, else with what
 * its next start will find in the spool and the book hasn't folded yet (struct audit_queue).
 *
 * It recomputes each entry's state from its events, each link of the hash chain from the stored
 * commitments, and each commitment from the values as long as those weren't erased; it finds events
 * without an entry, expansions without children, and waiting entries that missed their own time.
 * Each thing that is off is told by name.
 *
 * What is booked for good and can't be mended has a token. An administrator who has dealt with it
 * says so by that (EVENT_ACKNOWLEDGED, booked through the queue), and it isn't off any more; the
 * next damage of the same entry has another token.
 */
#pragma once

#include "book/ledger.h"
#include "book/marks.h"
#include "mail/event.h"

enum audit_kind {
    AUDIT_FILE,   /* a file can't be read */
    AUDIT_CHAIN,  /* a link doesn't follow from what is stored */
    AUDIT_VALUE,  /* a personal value isn't the one that was committed to */
    AUDIT_HEAD,   /* the chain's end or length isn't the one that was noted: cut off or added to */
    AUDIT_STATE,  /* an entry isn't in the state that its events give */
    AUDIT_ORPHAN, /* events without their entry */
    AUDIT_EXPANSION,    /* an expanded entry without children, or a child without its parent */
    AUDIT_OVERDUE,      /* waits, but its next attempt should long have been */
    AUDIT_NOT_IN_QUEUE, /* waits by the book, but the queue doesn't have it */
    AUDIT_NOT_IN_BOOK,  /* waits in the queue, but not by the book */
    AUDIT_DAMAGE,       /* what the spool found damaged: set aside now, or booked */
    AUDIT_CHECKPOINT,   /* the chain isn't any more what it was when it was exported */
    AUDIT_ALARM,        /* booked; told only when asked for, and nothing that is off */
    AUDIT_KIND_COUNT
};

/* The word for --json ("chain"). */
const char *audit_kind_name(enum audit_kind kind);

/* By whom and why a finding was acknowledged. */
struct audit_acknowledged {
    int64_t time_us;
    uint32_t uid;       /* EVENT_NO_ACTOR: unknown */
    struct span reason; /* may hold anything; .data NULL: erased */
};

/* Borrowed for the call of `found`. */
struct audit_finding {
    enum audit_kind kind;
    const char *file;         /* name of the ledger's file, or "" */
    struct id id;             /* message, or a refusal's reference; zero: none */
    uint32_t recipient_index; /* EVENT_NO_RECIPIENT: none */
    const char *text;         /* what is off, in plain words; may hold nothing hostile */
    struct id token;          /* zero: it can't be acknowledged */
    const struct audit_acknowledged *acknowledged; /* NULL: it isn't */
};

/* A recipient that waits. */
struct audit_waiting {
    struct id id;
    bool is_planned; /* the queue knows when it goes on: that it is late by the book is explained */
    uint32_t index;
};

struct audit_set {
    struct audit_waiting *items;
    size_t count, room;
};

/* What the log says of a recipient and the book doesn't know yet. */
struct audit_change {
    struct audit_waiting item;
    uint32_t order; /* the last one counts */
    bool waits;
};

/* The queue's side. */
struct audit_queue {
    struct audit_set waiting; /* what it has */
    struct audit_change *unfolded;
    size_t unfolded_count, unfolded_room;
    uint64_t unfolded_records;
    bool is_live; /* its server runs: it changes while we look, and alone knows who is late */
    void *audit;  /* for audit_tell_damage() */
};

struct audit_options {
    int64_t since_us; /* only weeks that reach behind this; 0: all */
    int64_t now_us;
    int64_t overdue_us; /* how far a next attempt may lie in the past */
    bool with_alarms;
    bool with_acknowledged;       /* tell those, too; they are no findings */
    const struct marks *expected; /* NULL, or where the chains once were: to be found again */
    struct marks *reached;        /* NULL, or where to note the chains' ends, as checked */
    void *arg;
    void (*found)(void *arg, const struct audit_finding *finding);
    /* NULL: no progress. Called now and then: events checked in this file, of how many. */
    void (*progress)(void *arg, const char *file, uint64_t done, uint64_t total);
    /* NULL: the queue isn't compared. Fills `out`; of a running server it first makes the book
     * catch up. 0; -errno: it can't be asked (then it isn't compared, and of a live one whoever is
     * late is only counted); -ETIMEDOUT: the book is behind the log (then nobody is late by it,
     * either). Called again when something of a live queue differs. */
    int (*look_at_queue)(void *arg, struct audit_queue *out);
};

/* The sum of the run: both sides of the law, and how much was looked at. */
struct audit_counts {
    uint64_t accepted;
    uint64_t states[RECIPIENT_STATE_COUNT];
    uint64_t messages, events, refusals, files, findings;
    uint64_t held;         /* of those waiting */
    uint64_t alarms;       /* alarms that are booked: to be looked at, but no findings */
    uint64_t acknowledged; /* findings that were, and recipients booked as lost */
    uint64_t remade; /* outcomes or children whose origin only a file or ledger of before has */
    uint64_t queue_waiting;
    uint64_t late_unexplained; /* missed the book's next attempt; a live queue didn't tell why */
    uint64_t unfolded; /* records of the log that the book will fold when the server starts */
    bool queue_compared;
    uint64_t marks_found; /* of those expected */
    uint64_t marks_gone;  /* deleted since with their weeks: only the last link is left of these */
    uint64_t marks_skipped; /* in weeks that weren't to be checked */
    uint64_t broken;        /* of the findings: the chain or what it vouches for */
    bool queue_stopped;     /* compared with the spool of a stopped server */
};

/* Findings are no error. 0; -ENOENT, -EACCES: the folder can't be read; -ENOMEM. */
int audit_run(const char *folder, const struct audit_options *options, struct audit_counts *out);

/* ---- for look_at_queue (audit_set.c); 0 or -ENOMEM ---- */

int audit_add_waiting(struct audit_set *set, const struct audit_waiting *item);
/* In the order of the log. */
int audit_add_change(struct audit_queue *queue, const struct id *id, uint32_t index, bool waits);
/* Tells at once of AUDIT_DAMAGE, or an AUDIT_ALARM; `place` is where it lies ("log-…"). */
void audit_tell_damage(struct audit_queue *queue, enum audit_kind kind, const struct id *id,
                       const char *place, const char *text);

/* Sorts it and drops doubles. */
void audit_set_sort(struct audit_set *set);
/* NULL: it isn't in. */
const struct audit_waiting *audit_set_find(const struct audit_set *sorted,
                                           const struct audit_waiting *item);
void audit_set_done(struct audit_set *set);
/* The book's waiting set (sorted) as it will be when the rest of the log is folded. */
int audit_apply_changes(struct audit_set *waiting, struct audit_queue *queue);
void audit_queue_done(struct audit_queue *queue);
