/*
 * A disk in memory that knows what is durable. Each file has two images: `page` (what the page
 * cache shows) and `disk` (what survives a power cut), and for each 512-byte sector the range of
 * bytes that was written since the last sync. The directory has the same in the form of an undo
 * log: name changes that no directory sync has covered yet.
 *
 * No policy and no faults here: store_sim.h has them.
 */
#pragma once

#include "base/list.h"
#include "prng.h"

enum { SIM_SECTOR = 512, SIM_PAGE = 4096, SIM_TEXT = 64 };

enum sim_space { SIM_UNLINKED, SIM_LOG, SIM_BULK, SIM_NAMED, SIM_ASIDE };

struct sim_name {
    enum sim_space space;
    uint64_t number;     /* segments */
    char text[SIM_TEXT]; /* named files; the reason of those set aside */
};

/* The bytes [low, high) of a sector were written since the last sync; empty when equal. */
struct sim_sector {
    uint16_t low, high;
};

struct sim_file {
    struct list link;
    struct sim_name name;
    unsigned open_handles;
    bool is_folder;  /* of a segment's name: in the way of one, else nothing to the store */
    uint64_t writer; /* thread that has written to it and not synced; 0: none (store_sim.h) */
    uint64_t failed; /* owner of the lane in whose time a write or sync of it failed; 0: none */
    size_t size;
    uint8_t *page, *disk;
    struct sim_sector *sectors;
    size_t dirty_from, dirty_to; /* all dirty sectors lie in between */
};

struct sim_rename {
    struct sim_file *file, *replaced; /* `replaced` (or NULL) had the new name before */
    struct sim_name old;
};

struct sim_disk {
    struct list files;
    struct sim_rename *pending; /* not yet covered by a directory sync, oldest first */
    size_t pending_count, pending_capacity;
    uint64_t used_bytes;
};

void sim_disk_init(struct sim_disk *disk);
void sim_disk_done(struct sim_disk *disk);

/* NULL when there is none. Named files are found by text, segments by number. */
struct sim_file *sim_disk_find(const struct sim_disk *disk, const struct sim_name *name);
/* A new file without a name, of zeros, both images equal. NULL when memory ends. */
struct sim_file *sim_disk_new_file(struct sim_disk *disk, size_t size);
/* Gives `file` the name, taking it from whoever had it; one atomic step of the undo log. */
void sim_disk_rename(struct sim_disk *disk, struct sim_file *file, const struct sim_name *name);
/* The directory sync: what the names are now survives. */
void sim_disk_sync_names(struct sim_disk *disk);
/* Frees files that have no name, no handle and no place in the undo log. */
void sim_disk_sweep(struct sim_disk *disk);

void sim_file_write(struct sim_file *file, uint64_t offset, const void *data, size_t size);
/* What was written since the last sync is durable from here on. */
void sim_file_sync(struct sim_file *file);
/* A failed sync: some of it reached the disk, none of it is known as dirty any longer, the page
 * cache still shows all of it (what Linux does). */
void sim_file_sync_fails(struct sim_file *file, struct prng *prng);
/* The page cache drops its clean pages: reads see the disk from here on. */
void sim_file_evict(struct sim_file *file);
/* Damage at rest, seen by every read. */
void sim_file_flip(struct sim_file *file, uint64_t bit);

/* The power is cut: of the unsynced sectors each is lost, kept, torn or garbled; of the pending
 * name changes a part of the newest is undone; then the page cache is empty. */
void sim_disk_cut_power(struct sim_disk *disk, struct prng *prng);
