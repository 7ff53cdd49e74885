/*
 * Sets of ids as open hash tables (linear probing, half full at the most, keyed by a seed: who
 * chooses the ids can't choose collisions). Two generations: the younger one is filled up to
 * IDS_REMEMBERED, then takes the place of the elder; so between one and two times that many are
 * known.
 */
#include "proc/queue/accept/ids.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

/* The counter is the lowest 22 of the 24 bits that stand last in an id (base/id.h). */
enum { COUNTER_BITS = 22, CAPACITY_FIRST = 1024 };

/* The id without its origin: time, then counter. */
static uint64_t number_of(const struct id *id)
{
    uint64_t counter = 0;

    for (int i = ID_BYTES - 3; i < ID_BYTES; i++)
        counter = counter << 8 | id->bytes[i];
    return (uint64_t)id_time_ms(id) << COUNTER_BITS |
           (counter & ((UINT64_C(1) << COUNTER_BITS) - 1));
}

/* Ends at an empty slot, of which there is always one. */
static uint64_t *slot_of(const struct id_set *set, uint64_t number, uint64_t seed)
{
    uint64_t at = XXH3_64bits_withSeed(&number, sizeof(number), seed);

    while (set->slots[at & (set->capacity - 1)] && set->slots[at & (set->capacity - 1)] != number)
        at++;
    return &set->slots[at & (set->capacity - 1)];
}

static bool has(const struct id_set *set, uint64_t number, uint64_t seed)
{
    return set->count && *slot_of(set, number, seed) == number;
}

/* Half of the slots stay empty. */
static int grow(struct id_set *set, uint64_t seed)
{
    struct id_set larger = *set;

    if (2 * (set->count + 1) <= set->capacity)
        return 0;
    larger.capacity = set->capacity ? 2 * set->capacity : CAPACITY_FIRST;
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < set->capacity; i++)
        if (set->slots[i])
            *slot_of(&larger, set->slots[i], seed) = set->slots[i];
    free(set->slots);
    *set = larger;
    return 0;
}

static void clear(struct id_set *set)
{
    free(set->slots);
    *set = (struct id_set){0};
}

/* The elder half is forgotten. Whatever was as old as the greatest of them counts as used from then
 * on. */
static void rotate(struct id_watch *watch)
{
    if (watch->before.greatest > watch->floor)
        watch->floor = watch->before.greatest;
    clear(&watch->before);
    watch->before = watch->now;
    watch->now = (struct id_set){0};
}

void id_watch_init(struct id_watch *watch, uint16_t origin, int64_t now_ms, uint64_t seed)
{
    *watch = (struct id_watch){.origin = origin,
                               .floor = (uint64_t)now_ms << COUNTER_BITS,
                               .now_ms = now_ms,
                               .seed = seed};
}

void id_watch_done(struct id_watch *watch)
{
    clear(&watch->now);
    clear(&watch->before);
}

/* An id is some time old when it comes. So that a clock that went back makes not all of them too
 * old until it is where it was, what is old goes back with it. */
static void follow_clock(struct id_watch *watch, int64_t now_ms)
{
    uint64_t *const marks[] = {&watch->floor, &watch->now.greatest, &watch->before.greatest};
    int64_t back_ms = watch->now_ms - now_ms;

    watch->now_ms = now_ms;
    for (size_t i = 0; back_ms > 0 && i < ARRAY_SIZE(marks); i++) {
        uint64_t by = (uint64_t)back_ms << COUNTER_BITS;
        *marks[i] = *marks[i] > by ? *marks[i] - by : 0;
    }
}

/* A running maker's ids stay ahead of a clock that went back, and so does the floor once they were
 * forgotten: the maker of a new process begins at the clock. */
void id_watch_begin(struct id_watch *watch, int64_t now_ms)
{
    uint64_t *const marks[] = {&watch->floor, &watch->now.greatest, &watch->before.greatest};
    uint64_t now = (uint64_t)now_ms << COUNTER_BITS;

    follow_clock(watch, now_ms);
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (*marks[i] > now)
            *marks[i] = now;
}

/* Below the floor nothing is remembered; but what is as young as now can't have been forgotten. */
static bool is_forgotten(const struct id_watch *watch, uint64_t number, int64_t now_ms)
{
    uint64_t now = (uint64_t)now_ms << COUNTER_BITS;

    return number < watch->floor && number < now;
}

int id_watch_take(struct id_watch *watch, const struct id *id, int64_t now_ms)
{
    uint64_t number = number_of(id);

    follow_clock(watch, now_ms);
    if (id_origin(id) != watch->origin)
        return -EACCES;
    if (has(&watch->now, number, watch->seed) || has(&watch->before, number, watch->seed))
        return -EALREADY;
    if (is_forgotten(watch, number, now_ms) || number == 0)
        return -ESTALE;
    if (watch->now.count >= IDS_REMEMBERED)
        rotate(watch);
    if (grow(&watch->now, watch->seed) < 0)
        return -ENOMEM;
    *slot_of(&watch->now, number, watch->seed) = number;
    watch->now.count++;
    if (number > watch->now.greatest)
        watch->now.greatest = number;
    return 0;
}
