/*
 * The `sim` store: spool/store.h on a disk in memory that can forget, tear and fail, all of it by a
 * seed. The disk outlives its stores: a crash ends every open store (each operation then answers
 * -EIO until it is closed), store_sim_restart() decides what is left, and a new store opened on the
 * disk sees just that.
 *
 *     disk = store_sim_new(seed)
 *     store_sim_open(disk, &store) … store->ops … store_sim_stop(disk)      the crash
 *     store->ops->close(store); store_sim_restart(disk, STORE_SIM_POWER_CUT)
 *     store_sim_open(disk, &store) …                                         the recovery
 *
 * Only changing operations are counted (opening the lane, create, write, sync, recycle, remove,
 * set_aside, put_file, remove_file); reads are not. Not safe for several threads: the simulation
 * has one.
 */
#pragma once

#include "prng.h"
#include "spool/store.h"

struct store_sim;

struct store_sim *store_sim_new(uint64_t seed);
/* All its stores must be closed. */
void store_sim_free(struct store_sim *disk);
/* A store on the disk; several may be open, one of them with the lease. Never fails. */
struct store *store_sim_open(struct store_sim *disk);

/* Called before each operation on a segment or a file: there other threads go on. It may use the
 * disk itself, as one of them. */
void store_sim_set_turn(struct store_sim *disk, void (*turn)(void *arg), void *arg);
/* What comes until the end is one thread's; they end in the order opposite to their beginning. */
void store_sim_begin_thread(struct store_sim *disk);
void store_sim_end_thread(struct store_sim *disk);
/* What of store.h the spool didn't keep: that two threads never write or sync one segment at a
 * time, and nobody one of which a write or sync failed. NULL: nothing. */
const char *store_sim_breach(const struct store_sim *disk);

/* Chances in 10,000 that one operation fails. */
struct store_sim_faults {
    unsigned write_error;     /* -EIO, a part may be written */
    unsigned write_full;      /* -ENOSPC, a part may be written */
    unsigned sync_error;      /* -EIO; the kernel then forgets what was dirty */
    unsigned create_error;    /* -ENOSPC or -EIO */
    unsigned name_error;      /* -EIO from rename and unlink: not done */
    unsigned directory_error; /* -EIO from the directory sync: done, but not durable */
    unsigned file_error;      /* put_file: -EIO or -ENOSPC, the old file stays */
    unsigned checkpoint_full; /* put_file of a checkpoint's part or manifest: -ENOSPC */
    unsigned evict;           /* before a read the page cache is dropped; no failure */
};

void store_sim_set_faults(struct store_sim *disk, const struct store_sim_faults *faults);
/* Of 10,000 reads of segments so many get -EIO, and with each up to `most` in a row. */
void store_sim_set_stumbling(struct store_sim *disk, unsigned chance, unsigned most);
/* Segments and files together never take more than this; more is -ENOSPC. 0: no limit. */
void store_sim_set_capacity(struct store_sim *disk, uint64_t bytes);

/* What a broken program would do, for the mutants: bits to be set together. */
enum store_sim_mutants {
    STORE_SIM_NO_LOG_SYNC = 1,       /* sync of a log segment returns at once */
    STORE_SIM_NO_BULK_SYNC = 2,      /* the same for bulk: sealed before its data is durable */
    STORE_SIM_NO_DIRECTORY_SYNC = 4, /* names are never made durable */
    STORE_SIM_RETRY_SYNC = 8, /* a failed sync is tried again, and its second word believed */
};

void store_sim_set_mutants(struct store_sim *disk, unsigned mutants);

/* The crash: from now on every operation of every open store fails. */
void store_sim_stop(struct store_sim *disk);
/* The crash comes in the n-th changing operation from now (1: the next one), at a random point in
 * it: before, half way, or after all of its effect. 0: never. */
void store_sim_stop_after(struct store_sim *disk, uint64_t operations);
bool store_sim_stopped(const struct store_sim *disk);
/* Changing operations so far. */
uint64_t store_sim_operations(const struct store_sim *disk);

enum store_sim_restart { STORE_SIM_KILLED, STORE_SIM_POWER_CUT };

/* After a crash. KILLED: only the process died, the page cache is as it was, nothing of it is
 * durable yet. POWER_CUT: see sim_disk.h. */
void store_sim_restart(struct store_sim *disk, enum store_sim_restart how);

/* One damaged bit in a segment at rest, or -ENOENT, -ERANGE. */
int store_sim_flip(struct store_sim *disk, enum store_kind kind, uint64_t number, uint64_t bit);
int store_sim_flip_file(struct store_sim *disk, const char *name, uint64_t bit);
struct store_sim_damage {
    char what[64]; /* "log", "bulk" or the file's name */
    uint64_t number, offset;
};

/* One bit of a byte that isn't zero, somewhere. False: there is none. */
bool store_sim_damage(struct store_sim *disk, struct store_sim_damage *out);
/* One file, by chance; `offset` is its size. False: there is none. */
bool store_sim_draw(struct store_sim *disk, struct store_sim_damage *out);
/* The file loses its end, from `offset` on. */
void store_sim_cut(struct store_sim *disk, const struct store_sim_damage *damage);
/* Reads of `bytes` from there on fail, until this is called with 0. */
void store_sim_set_unreadable(struct store_sim *disk, const struct store_sim_damage *damage,
                              uint64_t bytes);
/* What somebody else puts into the folder. */
enum store_sim_litter {
    STORE_SIM_EMPTY,  /* a file without a byte */
    STORE_SIM_ZEROS,  /* one of zeros */
    STORE_SIM_NOISE,  /* one of anything */
    STORE_SIM_COPY,   /* one that is another segment's copy */
    STORE_SIM_FOLDER, /* a folder, a link or the like: never listed, and in the way */
    STORE_SIM_LITTERS,
};

/* Under the name of a segment that isn't there. `of`: the number of that other segment. False: the
 * name is taken, or there is nothing to be copied. */
bool store_sim_litter(struct store_sim *disk, enum store_sim_litter what, enum store_kind kind,
                      uint64_t number, size_t size, uint64_t of);
/* Likewise one of these bytes. */
bool store_sim_put(struct store_sim *disk, enum store_kind kind, uint64_t number, const void *bytes,
                   size_t size);
bool store_sim_has_file(const struct store_sim *disk, const char *name);
/* The highest number of a segment that isn't made up; 0: there is none. */
uint64_t store_sim_highest(const struct store_sim *disk, enum store_kind kind);
/* How many were set aside so far (they are never listed again). */
size_t store_sim_count_aside(const struct store_sim *disk);

struct store_sim_operation {
    const char *name;     /* "write", "sync", … */
    enum store_kind kind; /* of a segment */
    uint64_t number;      /* of the segment, 0 for files */
    const char *file;     /* or NULL */
    uint64_t offset, size;
    int result;
};

/* Called after each changing operation. The observer must not use the store. */
void store_sim_observe(struct store_sim *disk,
                       void (*observe)(void *arg, const struct store_sim_operation *operation),
                       void *arg);
