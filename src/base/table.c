/*
 * Linear probing in a power of two. A slot holds the whole hash, so a look-up reads a foreign
 * element only on a collision of all 32 bits, and growing asks nobody for hashes.
 */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

void table_done(struct table *table)
{
    free(table->slots);
    *table = TABLE_INIT;
}

uint32_t table_find(const struct table *table, uint32_t hash,
                    bool (*match)(const void *key, uint32_t handle), const void *key)
{
    if (!table->capacity)
        return 0;
    uint32_t mask = table->capacity - 1;
    for (uint32_t i = hash & mask; table->slots[i].handle; i = (i + 1) & mask)
        if (table->slots[i].hash == hash && match(key, table->slots[i].handle))
            return table->slots[i].handle;
    return 0;
}

/* Into the first empty slot of the run; there is always one. */
static void place(struct table_slot *slots, uint32_t mask, struct table_slot slot)
{
    uint32_t i = slot.hash & mask;

    while (slots[i].handle)
        i = (i + 1) & mask;
    slots[i] = slot;
}

static int grow(struct table *table)
{
    uint32_t capacity = table->capacity ? table->capacity * 2 : CAPACITY_MIN;
    struct table_slot *slots = capacity ? calloc(capacity, sizeof(*slots)) : NULL;

    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->slots[i].handle)
            place(slots, capacity - 1, table->slots[i]);
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return 0;
}

int table_insert(struct table *table, uint32_t hash, uint32_t handle)
{
    /* Three quarters: beyond, runs of linear probing grow steeply; and an empty slot is what
     * ends a search. */
    if (table->count >= table->capacity / 4 * 3) {
        int r = grow(table);
        if (r < 0)
            return r;
    }
    place(table->slots, table->capacity - 1, (struct table_slot){hash, handle});
    table->count++;
    return 0;
}

void table_remove(struct table *table, uint32_t hash, uint32_t handle)
{
    if (!table->capacity)
        return;
    uint32_t mask = table->capacity - 1, hole = hash & mask;
    while (table->slots[hole].handle && table->slots[hole].handle != handle)
        hole = (hole + 1) & mask;
    if (!table->slots[hole].handle)
        return;
    /* Entries behind the hole move into it unless that would put them before their own start. */
    for (uint32_t i = (hole + 1) & mask; table->slots[i].handle; i = (i + 1) & mask) {
        uint32_t start = table->slots[i].hash & mask;
        if (((i - start) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole].handle = 0;
    table->count--;
}
