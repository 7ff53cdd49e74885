/*
 * What the book folds: the spool's records, already decoded, in the order of their lane. The book
 * doesn't know the spool's format (they are siblings); src/proc/book translates.
 */
#pragma once

#include "mail/event.h"

/* A place in a lane's log: just behind a record. Only ever grows within a lane. */
struct book_position {
    uint32_t lane;
    uint64_t segment;
    uint64_t offset;
};

/* Within one lane: lanes aren't compared. */
static inline int book_position_compare(const struct book_position *a,
                                        const struct book_position *b)
{
    if (a->segment != b->segment)
        return a->segment < b->segment ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* A recipient became others: it is closed, they are opened as entries `first_child` and on. */
struct book_expand {
    struct id message;
    uint32_t parent;
    uint32_t first_child;
    int64_t time_us;
    const struct envelope_recipient *children;
    size_t child_count;
};

/* An outcome, or a next attempt. The kind decides the state (event_kind_closes()). */
struct book_status {
    struct id message;
    uint32_t recipient_index;
    uint8_t kind; /* enum event_kind */
    int64_t time_us;
    int64_t next_attempt_us; /* 0: none is planned */
    struct span host;
    uint8_t ip[16]; /* zero: none */
    struct span reply;
    struct span status; /* RFC 3463: "4.4.1" */
    struct span remote_id;
    struct span tls;
    struct span detail; /* the phase it failed in, the rule that discarded it */
    uint32_t actor_uid; /* EVENT_NO_ACTOR */
};

/* A message that was said again elsewhere in the log, with the recipients that still waited then.
 * The book has it, unless a file of the ledger was lost: then this is all that the log still tells,
 * and the fate of the recipients that aren't named is only in the lost file. */
struct book_waiting {
    uint32_t index;
    uint32_t parent; /* whose expansion it came from; EVENT_NO_RECIPIENT: none */
    const struct envelope_recipient *recipient;
};

struct book_moved {
    const struct envelope *message;
    const struct book_waiting *waiting;
    size_t waiting_count;
};

/* Who of a message still waited, said again when the segments that had the outcomes were let go. It
 * counts only where a ledger is made anew (fold_begin_anew()): else the book knows better. */
struct book_restated {
    struct id message;
    int64_t time_us;         /* the others had their end before then, or by what was folded */
    const uint32_t *waiting; /* indexes, rising */
    size_t waiting_count;
};

enum book_input_kind {
    BOOK_MESSAGE,
    BOOK_MOVED,
    BOOK_RESTATED,
    BOOK_EXPAND,
    BOOK_STATUS,
    BOOK_EVENT
};

struct book_input {
    enum book_input_kind kind;
    struct book_position end; /* just behind this record */
    union {
        const struct envelope *message;
        const struct book_moved *moved;
        const struct book_restated *restated;
        const struct book_expand *expand;
        const struct book_status *status;
        const struct event *event;
    };
};
