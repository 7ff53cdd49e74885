/*
 * Things with a number that counts up, found by it among thousands: lists that each take every
 * so-manieth number, so that equal shares lie in all. Intrusive, as base/list.h.
 */
#pragma once

#include "base/list.h"
#include <stdint.h>

/* At the 8,192 that one channel may have under way (ipc/channel.h) eight a list; 16
 * KiB of heads. */
enum { NUMBERS_LISTS = 1024 };

struct numbers {
    struct list lists[NUMBERS_LISTS];
};

static inline void numbers_init(struct numbers *numbers)
{
    for (size_t i = 0; i < NUMBERS_LISTS; i++)
        list_init(&numbers->lists[i]);
}

/* The list that whatever has this number is in, or is to be put into; it leaves by list_remove().
 */
static inline struct list *numbers_list(struct numbers *numbers, uint64_t number)
{
    return &numbers->lists[number % NUMBERS_LISTS];
}
