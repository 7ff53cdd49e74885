/*
 * Entries of a batch that aren't written yet. Most recipients get their outcome within the batch in
 * which they were accepted: their row is then written once, in its last state, instead of being
 * written, looked up and changed, with every index. Bounded; in the order in which they came.
 */
#pragma once

#include "book/entry_state.h"

struct pending_entry {
    struct id message;
    uint32_t index;
    uint32_t parent; /* EVENT_NO_RECIPIENT: none */
    struct span address, original;
    uint8_t key[ENVELOPE_KEY_BYTES];
    struct entry_state state;
};

struct pending;

/* 0 or -ENOMEM. A megabyte, all of it at once. */
int pending_new(struct pending **out);
/* NULL is fine. */
void pending_free(struct pending *pending);

/* NULL: it isn't there. Borrowed until the next change. */
struct pending_entry *pending_find(struct pending *pending, const struct id *message,
                                   uint32_t index);
bool pending_is_full(const struct pending *pending);
/* Not when it is full or has it already. Copies the addresses. 0 or -ENOMEM. */
int pending_add(struct pending *pending, const struct pending_entry *entry);

size_t pending_count(const struct pending *pending);
const struct pending_entry *pending_at(const struct pending *pending, size_t i);
void pending_clear(struct pending *pending);
