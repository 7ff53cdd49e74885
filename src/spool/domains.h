/*
 * Interned destination names: each is kept once, counted, and its index reused when nobody has it
 * any more. Names are compared without regard to ASCII case and kept in lower case.
 */
#pragma once

#include "base/span.h"

struct domain {
    char *name;
    uint32_t size;
    uint32_t uses; /* 0: free */
    uint32_t next; /* in its bucket, or in the list of free ones */
};

struct domains {
    struct domain *rows;
    uint32_t *buckets;
    uint32_t row_count, row_capacity, bucket_count, used;
    uint32_t free; /* first free row */
    size_t name_bytes;
};

enum { DOMAIN_NONE = UINT32_MAX };

/* Finds or adds the name and counts one use. 0 or -ENOMEM. */
int domains_use(struct domains *d, struct span name, uint32_t *out_index);
/* For an index that has a use already. */
void domains_use_again(struct domains *d, uint32_t index);
/* Ends one use; with the last one the name is freed, and the index may become another's. */
void domains_release(struct domains *d, uint32_t index);
/* Borrowed until the last use ends; "" for an index that nobody uses. */
struct span domains_name(const struct domains *d, uint32_t index);
/* Bytes that all of it takes, near enough for status. */
size_t domains_memory(const struct domains *d);
void domains_done(struct domains *d);
