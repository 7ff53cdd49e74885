/*
 * One report to be: some recipients of one message, of whose fate its sender is to be told. What
 * the files of return.h share: return.c starts what load.c reads, write.c makes a report of, and
 * book.c books; all of them change it here.
 */
#pragma once

#include "mail/report.h"
#include "proc/queue/returns/returns.h"
#include "proc/queue/returns/wish.h"

/* The picture is in return.h. All but the first two and RESTING are busy: RETURNS_BUSY_MAX of them.
 * EXPECTING is gathering, too: others of the message are being attempted. */
enum undelivered_state {
    UNDELIVERED_GATHERING,
    UNDELIVERED_EXPECTING,
    UNDELIVERED_LOADING,
    UNDELIVERED_FINDING,
    UNDELIVERED_WRITING,
    UNDELIVERED_KEEPING,
    UNDELIVERED_RESTING,
    UNDELIVERED_STATE_COUNT,
};

struct undelivered {
    struct list link;   /* by its state */
    struct list bucket; /* by message and kind */
    struct queue *queue;
    struct id id; /* of the message, which an administrator may take away meanwhile */
    enum report_kind kind;
    enum undelivered_state state;
    int64_t since_ms;
    unsigned rests;     /* in a row */
    unsigned ticks;     /* until it goes on, while it rests */
    struct arena arena; /* of the causes */
    size_t bytes;       /* as `returns` counts them */
    struct spool_status *causes;
    size_t count, capacity;
    size_t later; /* of a receipt: so many behind these get the next report */
    size_t named; /* in the report that is being written */

    struct io_job io;
    void (*loaded)(struct undelivered *u);
    struct spool_reader *reader;
    const struct spool_stored *stored;
    char *header; /* of the message, or all of it: */
    size_t header_bytes;
    bool whole;
    int error;
    bool needs_report; /* the process, which wasn't there: it goes on when it is */

    struct ipc_call call;
    bool to_postmaster;  /* a double bounce */
    bool reader_expands; /* who gets the report is an alias */
    char postmaster[ENVELOPE_ADDRESS_MAX];
    size_t postmaster_bytes;
    struct id report_id;
    char report_text[ID_TEXT + 1];
    struct settlement *settlement; /* while it is KEEPING: room to book that its sender was told */
};

static inline bool undelivered_is_receipt(const struct undelivered *u)
{
    return u->kind != REPORT_FAILED && u->kind != REPORT_DELAYED;
}

static inline struct wish_source undelivered_source(const struct undelivered *u)
{
    return (struct wish_source){&u->stored->envelope, u->stored->expansions,
                                u->stored->expansion_count};
}

/* GATHERING, without recipients. NULL: no memory. */
struct undelivered *undelivered_new(struct queue *q, const struct id *id, enum report_kind kind);
/* One more recipient; the texts are copied. 0 or -ENOMEM. */
int undelivered_add(struct undelivered *u, const struct spool_status *cause);
/* In any state but LOADING, when a thread has it. */
void undelivered_free(struct undelivered *u);
void undelivered_set_state(struct undelivered *u, enum undelivered_state state);
/* It is tried again: in a second, the next time in two, and so on. */
void undelivered_rest(struct undelivered *u);
/* The last one that was made of this kind for this message and is still there; NULL: none is. */
struct undelivered *undelivered_find(const struct queue *q, const struct id *id,
                                     enum report_kind kind);
/* Of a recipient who failed: its cause, and in which one. NULL: there is none. */
struct spool_status *undelivered_cause(const struct queue *q, struct spool_recipient *recipient,
                                       struct undelivered **out);
/* Too much to be told at once: a half becomes another one, or of a receipt waits until the first
 * was told: its message may be gone, and who reads that one can't be opened a second time. False
 * when there is only one recipient, or no memory. */
bool undelivered_split(struct undelivered *u);
/* A receipt's other half is next; it rests. False: there is none. */
bool undelivered_go_on(struct undelivered *u);

/* book.c: what came of it; each frees `u`, but for a receipt's other half. */
/* The report is on disk. */
void undelivered_told(struct undelivered *u);
/* Nobody can be told: as `why` says. */
void undelivered_untold(struct undelivered *u, const char *why);
/* Those that aren't ours any more are left out: released, removed, closed, or held although they
 * failed; of the last the book learns how their attempts went. True when some are left, all of a
 * receipt are. False: `u` is freed, or rests until it is known what an administrator did. */
bool undelivered_goes_on(struct undelivered *u);
/* Of who is held on the disk the book learns how his attempt went: since his message is damaged, or
 * since an administrator asked for it while he was attempted; an attempt's end doesn't undo that.
 * Who is in an act isn't looked at. False: one is left for want of memory. */
bool undelivered_put_held_aside(struct undelivered *u);
/* Those of whom the sender doesn't want to be told, or mustn't be since he may be forged, are
 * booked and left out. True when some are left. */
bool undelivered_drop_unwanted(struct undelivered *u);

/* kept.c: what is known of those that were held instead. */
void kept_init(struct returns *returns);
void kept_done(struct returns *returns);
/* Copied, in place of what was kept of it. Not of very many, and without memory not at all. */
void kept_add(struct queue *q, const struct id *message, const struct spool_status *cause);
void kept_forget(struct queue *q, const struct id *message, uint32_t recipient);

/* load.c: envelope and header, on a thread; then calls `done`, which finds u->error. 0 or -errno.
 */
int undelivered_load(struct undelivered *u, void (*done)(struct undelivered *u));

/* write.c: from what was read to the report in the spool. */
void undelivered_loaded(struct undelivered *u);
