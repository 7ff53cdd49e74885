/*
 * A hash table from 32-bit hashes to 32-bit handles (base/slab.h): 8 bytes a slot, open addressing,
 * deletion without tombstones. It knows neither keys nor elements: the caller hashes, and tells
 * which of the handles with an equal hash it means. Hash what strangers choose with a secret seed.
 */
#pragma once

#include "base/span.h"

struct table_slot {
    uint32_t hash;
    uint32_t handle; /* 0: empty */
};

struct table {
    struct table_slot *slots;
    uint32_t capacity; /* 0 or a power of two */
    uint32_t count;
};

#define TABLE_INIT ((struct table){0})

/* Frees the slots; the table is as after TABLE_INIT. */
void table_done(struct table *table);

/* The handle under `hash` for which `match` says yes; 0 when there is none. */
uint32_t table_find(const struct table *table, uint32_t hash,
                    bool (*match)(const void *key, uint32_t handle), const void *key);
/* 0 or -ENOMEM. The caller has made sure that it isn't in yet. */
int table_insert(struct table *table, uint32_t hash, uint32_t handle);
/* Does nothing when it isn't in. */
void table_remove(struct table *table, uint32_t hash, uint32_t handle);
