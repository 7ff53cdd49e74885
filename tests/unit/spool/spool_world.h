/*
 * A spool on the sim disk for the tests of src/spool: it runs groups and tasks inline, makes
 * messages whose envelope and bytes follow from a number, and can end and open the spool again.
 */
#pragma once

#include "../unit.h"

#include "spool/follow.h"
#include "spool/lane.h"
#include "store_sim.h"

struct world {
    struct store_sim *disk;
    struct spool_options options;
    struct spool *spool;
    int64_t now_us;
    unsigned done, failed; /* completions */
    int last_error;
};

struct world world_new(void);
/* Closes the spool, checks nothing. */
void world_done(struct world *w);

void world_open(struct world *w);
void world_close(struct world *w);
/* The process ends without closing; then another one opens the spool. */
void world_crash(struct world *w, enum store_sim_restart how);

/* Log segments that somebody has moved out of the folder. */
enum { WORLD_MOVED_MAX = 64 };

struct world_moved {
    size_t count;
    struct {
        uint64_t number;
        size_t size;
        char *bytes;
    } rows[WORLD_MOVED_MAX];
};

/* All of them; the spool must be closed. */
void world_move_away(struct world *w, struct world_moved *out);
/* Those above `above` whose numbers are free again; frees all. How many. */
size_t world_move_back(struct world *w, struct world_moved *moved, uint64_t above);

/* Groups and tasks until there is neither. */
void world_run(struct world *w);
/* One group: 0, its error, or 1 when there was none. */
int world_commit(struct world *w);

struct id world_id(unsigned number);
/* `recipients` of them, at u<i>@d<i % 3>.example; a body of `size` bytes. */
int world_accept(struct world *w, unsigned number, unsigned recipients, size_t size);
/* By an upload. */
int world_accept_large(struct world *w, unsigned number, size_t size);
int world_status(struct world *w, unsigned number, uint32_t recipient, enum spool_outcome outcome);
/* Reads the message and compares it with what world_accept() gave. 0, or the reader's error. */
int world_check(struct world *w, unsigned number, unsigned recipients, size_t size);
/* Only header and body. */
int world_check_body(struct world *w, unsigned number, size_t size);
struct spool_message *world_find(struct world *w, unsigned number);
/* All bytes of the message's body, malloc'ed. */
char *world_body(unsigned number, size_t size);

void world_done_fn(void *arg, int error);

/* Messages 1 to `count` of two recipients, each in a group of its own. */
void world_fill(struct world *w, unsigned count);
/* All of them but message `without` are as they were. */
void world_check_others(struct world *w, unsigned count, unsigned without);

/* For cmocka: an open spool that keeps all its segments and writes no checkpoint by itself. */
int world_setup(void **state);
int world_teardown(void **state);
