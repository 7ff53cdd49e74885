/*
 * One simulated machine: the spool on a `sim` disk, a book that follows it, a clock, and the model
 * that judges both. All in one thread and by one seed; the workload (workload.h) decides what
 * happens next.
 *
 * Whatever breaks a rule is noted by model_fail(); the caller looks at model_failed() after each
 * step.
 */
#pragma once

#include "model.h"
#include "spool/follow.h"
#include "store_sim.h"

enum { WORLD_TASKS = 3, WORLD_UPLOADS = 3, WORLD_CROWD_MAX = 6000 };

struct world_task {
    struct spool_task *task;
    bool is_running, ran;
};

/* A body on its way in pieces; `upload` NULL: the slot is free. */
struct world_upload {
    struct spool_upload *upload;
    uint32_t message;
    struct model_content content;
    size_t sent;
    uint64_t serial; /* which of all this is */
    bool saw_faults; /* so it may fail later, too: errors of uploads stick */
};

/* What the book has: read so far, and read and synced. */
struct world_book {
    struct spool_follower *follower;
    struct spool_position at, synced_at;
    uint64_t last, synced_last; /* order of the newest record it folded */
};

struct world_statistics {
    uint64_t steps, accepted, statuses, events, folded, crashes, recoveries, cut_recoveries;
    uint64_t refused, faults, operations, compacted, recycled, checkpoints, bulk_writes;
};

struct world {
    struct prng prng;
    struct model model;
    struct store_sim *sim;
    struct spool_options options;
    struct spool *spool; /* NULL only while it is down */
    struct spool_group *group;
    bool group_is_running, group_written;
    struct world_task tasks[WORLD_TASKS];
    struct world_upload uploads[WORLD_UPLOADS];
    struct world_book book;
    int64_t now_us;
    uint64_t random;   /* state of the spool's own randomness */
    bool faulty;       /* faults are switched on */
    bool stumbling;    /* reads may fail, in a row, too; nothing may come of it */
    bool only_ambush;  /* no other kind of fault */
    bool ambush;       /* syncs of groups fail, of those that begin a segment each */
    bool tight;        /* the disk is so small that it fills up */
    bool names_stick;  /* with faults, every second file that is to be renamed or deleted isn't */
    bool huge;         /* some bodies are as large as a server takes */
    bool hoards;       /* checkpoints get lost, and bytes at rest; see harm.c */
    bool crowds;       /* some messages have thousands of recipients */
    bool lags;         /* the book reads nothing for most of the time */
    bool restless;     /* who starts it again and again does so before it has done anything */
    bool resizes;      /* segments have other sizes after some restarts; see resize.c */
    bool jostles;      /* while one thread works others go on; see turns.c */
    bool is_jostled;   /* now */
    bool is_littered;  /* somebody else puts files into the folder; see litter.c */
    bool has_copies;   /* among them of our log segments */
    bool is_cramped;   /* checkpoints often find no room, and a crash may follow */
    bool stretches;    /* some messages and outcomes are as large as they may be; see limits.c */
    bool aborts;       /* uploads are often given up, at any stage */
    unsigned depth;    /* threads in the middle of their work */
    struct prng other; /* the chance of what only some lives do: all others stay as they are */
    uint64_t uploads_begun;
    unsigned credits; /* of uploads, not yet answered */
    unsigned shaken;  /* steps for which a fault makes a crash more likely */
    bool verbose;
    bool book_mutant;         /* tells the spool of what the book hasn't synced */
    uint64_t cut_recovery_at; /* the next recovery is cut in this operation; 0: by chance */
    uint64_t ended_at;        /* groups sealed when the spool was last told that it ends */
    uint32_t bulk_kib;        /* of bulk segments after the next resize; 0: by chance */
    struct world_statistics statistics;
};

/* `mutant`: the name of a fault that is built in on purpose (mutants[] in world.c), or NULL. False:
 * no such mutant. */
bool world_init(struct world *world, uint64_t seed, const char *mutant, bool verbose);
void world_done(struct world *world);

__attribute__((format(printf, 2, 3))) void world_say(struct world *world, const char *format, ...);

/* Start of the spool, after a crash or not: recovers, again when the crash comes while recovering,
 * and then checks all rules. `cut_chance` of 10,000: that a recovery is cut. */
void world_start(struct world *world, unsigned cut_chance);
/* An orderly end: what is in flight is finished, the rest is cancelled. */
void world_stop(struct world *world);
/* A crash now (or, when the disk has stopped already, then). */
void world_crash(struct world *world);

/* Acts (acts.c, mail.c). Each does nothing when it can't be done now. */
/* A new message; the larger ones begin an upload. */
void world_accept(struct world *world, uint32_t body_size);
/* One upload gets its next piece, is accepted or given up. */
void world_upload(struct world *world);
void world_abandon_uploads(struct world *world);
/* Some of one message's recipients get an outcome; finals only when `finish`. */
void world_status(struct world *world, bool finish);
void world_event(struct world *world);
/* Takes, writes or finishes a group. */
void world_group(struct world *world);
void world_take_group(struct world *world);
void world_write_group(struct world *world);
void world_finish_group(struct world *world);
/* Takes, runs or finishes one task. */
void world_task(struct world *world);
void world_fold(struct world *world, unsigned records);
void world_sync_book(struct world *world);
void world_book_crashes(struct world *world);
void world_read(struct world *world);
/* The bytes of a message go bad at rest (harm.c). What comes of that message isn't looked at. */
void world_harm(struct world *world);
/* Somebody removes all that were harmed. */
void world_remove_harmed(struct world *world);
/* Something is put into the folder (litter.c). */
void world_litter(struct world *w);
/* A message as large as a segment takes; texts of an outcome (limits.c). */
void world_accept_at_limit(struct world *w);
void world_stretch(struct world *w, struct spool_status *status,
                   char detail[static SPOOL_REPLY_MAX]);
/* What a thread does lies between these; `step` is one of which others may come in between
 * (turns.c). */
void world_begin_thread(struct world *w);
void world_end_thread(struct world *w);
void world_jostle(struct world *w, void (*step)(struct world *world));
void world_check_threads(struct world *w);
/* Nothing is under way: so nothing is pinned. */
void world_check_let_go(struct world *w);
/* Gives it to the spool; the upload (or NULL) is the spool's or gone afterwards. 0, or why it was
 * refused. */
int world_give(struct world *w, struct model_message *message, struct model_content *content,
               struct spool_upload *upload, bool may_fail);
/* Other options for the next start, by chance (resize.c). */
void world_resize(struct world *world);
/* Large messages, mostly gone, and then small segments. Without faults. */
void world_outgrow(struct world *world);
/* From here on the disk is large enough. */
void world_make_room(struct world *world);
/* Faults by chance, or none. */
void world_set_faults(struct world *world, bool on);

/* Groups and tasks until there is nothing left to do. Without faults all that is pending must then
 * be sealed. */
void world_settle(struct world *world);

/* One call that awaits its completion; world_on_done frees it and tells the model. */
struct world_waiter {
    struct world *world;
    uint64_t first, count;
    bool accept;
};

struct world_waiter *world_waiter_new(struct world *world, uint64_t first, uint64_t count,
                                      bool accept);
void world_on_done(void *arg, int error);
/* May the spool refuse `what` with this error now? */
void world_check_refusal(struct world *world, const char *what, int error);

/* The checks (check.c). */
void world_check_all(struct world *world);
void world_check_bytes(struct world *world, struct spool_message *shown,
                       struct model_message *message);
