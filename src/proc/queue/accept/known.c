#include "proc/queue/accept/known.h"

#include "base/grow.h"
#include <errno.h>
#include <xxhash.h>

struct key {
    const struct known *known;
    struct span address;
};

static uint32_t hash(const struct known *known, struct span address)
{
    return (uint32_t)XXH3_64bits_withSeed(address.data, address.size, known->seed);
}

static bool match(const void *key, uint32_t handle)
{
    const struct key *k = key;
    return span_equal(k->known->addresses[handle - 1], k->address);
}

bool known_has(const struct known *known, struct span address)
{
    struct key key = {known, address};
    return table_find(&known->table, hash(known, address), match, &key) != 0;
}

int known_add(struct known *known, struct span address)
{
    struct span *grown =
        grow_by_one(known->addresses, known->count, &known->room, sizeof(*grown), 16);

    if (!grown)
        return -ENOMEM;
    known->addresses = grown;
    int r = table_insert(&known->table, hash(known, address), (uint32_t)known->count + 1);
    if (r == 0)
        known->addresses[known->count++] = address;
    return r;
}

void known_done(struct known *known)
{
    table_done(&known->table);
    free(known->addresses);
    *known = (struct known){.seed = known->seed};
}
