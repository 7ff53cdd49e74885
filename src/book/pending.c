/*
 * Entries by hash in a table of fixed size, never removed one by one: a batch ends as a whole. Half
 * of the slots stay empty, so searches end soon.
 */
#include "book/pending.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

/* Slots are 16 bits wide: entries must be fewer than that counts. */
enum { ENTRIES = 1 << 13, SLOTS = ENTRIES * 2, TEXTS_MAX = 1 << 20 };

struct pending {
    struct pending_entry entries[ENTRIES];
    uint16_t slots[SLOTS]; /* number of the entry + 1; 0: empty */
    size_t count;
    struct arena texts; /* their addresses */
};

int pending_new(struct pending **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

void pending_free(struct pending *pending)
{
    if (pending)
        arena_done(&pending->texts);
    free(pending);
}

/* The slot that has it, or the empty one that it would get. */
static uint16_t *find_slot(struct pending *pending, const struct id *message, uint32_t index)
{
    size_t at = (XXH3_64bits(message->bytes, ID_BYTES) + index) % SLOTS;

    while (pending->slots[at]) {
        const struct pending_entry *entry = &pending->entries[pending->slots[at] - 1];
        if (entry->index == index && id_equal(&entry->message, message))
            break;
        at = (at + 1) % SLOTS;
    }
    return &pending->slots[at];
}

struct pending_entry *pending_find(struct pending *pending, const struct id *message,
                                   uint32_t index)
{
    uint16_t number = pending->count ? *find_slot(pending, message, index) : 0;

    return number ? &pending->entries[number - 1] : NULL;
}

bool pending_is_full(const struct pending *pending)
{
    return pending->count == ENTRIES || pending->texts.used >= TEXTS_MAX;
}

int pending_add(struct pending *pending, const struct pending_entry *entry)
{
    assert(pending->count < ENTRIES);
    uint16_t *slot = find_slot(pending, &entry->message, entry->index);
    assert(!*slot);
    struct pending_entry *added = &pending->entries[pending->count];
    *added = *entry;
    added->address = added->original = arena_copy(&pending->texts, entry->address);
    if (!span_equal(entry->original, entry->address))
        added->original = arena_copy(&pending->texts, entry->original);
    if (!added->address.data || !added->original.data)
        return -ENOMEM;
    *slot = (uint16_t)++pending->count;
    return 0;
}

size_t pending_count(const struct pending *pending)
{
    return pending->count;
}

const struct pending_entry *pending_at(const struct pending *pending, size_t i)
{
    return &pending->entries[i];
}

void pending_clear(struct pending *pending)
{
    if (pending->count)
        memset(pending->slots, 0, sizeof(pending->slots));
    pending->count = 0;
    arena_clear(&pending->texts);
}
