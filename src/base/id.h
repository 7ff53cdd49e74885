/*
 * Ids of messages, sessions and refusals: 80 bits, written as 16 letters and digits of Crockford's
 * base 32 (no I, L, O, U; read without regard to case), so sortable by time as bytes and as text.
 *
 *   bits 79…38   milliseconds since 1970, UTC (42 bits: until the year 2109)
 *   bits 37…22   origin: who made it (16 bits: node and process slot, given by the supervisor)
 *   bits 21…0    counter of that origin, from a random start
 *
 * A maker's ids are unique, and each sorts behind the one before: when the counter has run out in a
 * millisecond, the next one begins early, and when the clock goes back, the maker stays at its last
 * time until the clock has caught up. Only when the clock goes back by a day or more it is followed
 * (it was wrong before, and ids of a far year would stay wrong until the restart). Then times come
 * a second time, as after a restart, and what tells their ids apart is the counter alone.
 */
#pragma once

#include "base/span.h"

enum { ID_BYTES = 10, ID_TEXT = 16 };

struct id {
    uint8_t bytes[ID_BYTES];
};

/* One a process: two with the same origin may make the same id. */
struct id_maker {
    uint64_t last_ms;
    uint32_t counter;
    uint16_t origin;
};

/* `random_start`: any random number, so that a process that starts anew within a millisecond, or
 * after the clock went back, doesn't count from where its predecessor did. */
void id_maker_init(struct id_maker *maker, uint16_t origin, uint32_t random_start);
/* The next id; never fails. Times before 1970 count as 1970. Its time is ahead of the clock by as
 * much as that went back, and a millisecond for each four million made meanwhile. */
struct id id_make(struct id_maker *maker, int64_t wall_us);

/* Writes ID_TEXT characters and a NUL. */
void id_format(const struct id *id, char out[static ID_TEXT + 1]);
/* 0, or -EINVAL when `text` isn't an id. Look-alikes (i, l, o) are read as what they look like. */
int id_parse(struct span text, struct id *out);

/* When it was made: ms since 1970, UTC, by the maker's clock. */
int64_t id_time_ms(const struct id *id);
uint16_t id_origin(const struct id *id);

/* By time first, then by origin, then by the counter. <0, 0, >0. */
static inline int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_BYTES);
}

static inline bool id_equal(const struct id *a, const struct id *b)
{
    return id_compare(a, b) == 0;
}

/* The id that nobody has: "none" in structures and on disk. */
bool id_is_zero(const struct id *id);
