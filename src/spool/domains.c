/*
 * Rows in an array, by index, chained from buckets by hash; freed rows are linked and used again.
 * Names are hashed in lower case, 64 bytes at a time, so equal ones meet whatever their case.
 */
#include "spool/domains.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BUCKETS_MIN = 64 };

/* Without a seed: a name costs its sender a message, and a long chain here only microseconds. */
static uint32_t hash(struct span name)
{
    uint64_t sum = 0;
    char lower[64];

    for (size_t at = 0; at < name.size; at += sizeof(lower)) {
        size_t n = name.size - at < sizeof(lower) ? name.size - at : sizeof(lower);
        for (size_t i = 0; i < n; i++)
            lower[i] = ascii_lower(name.data[at + i]);
        sum = XXH3_64bits_withSeed(lower, n, sum);
    }
    return (uint32_t)sum;
}

static int grow_buckets(struct domains *d)
{
    uint32_t count = d->bucket_count ? d->bucket_count * 2 : BUCKETS_MIN;
    uint32_t *buckets = malloc(count * sizeof(*buckets));

    if (!buckets)
        return -ENOMEM;
    memset(buckets, 0xff, count * sizeof(*buckets)); /* DOMAIN_NONE */
    for (uint32_t i = 0; i < d->row_count; i++) {
        if (d->rows[i].uses == 0)
            continue;
        uint32_t *bucket = &buckets[hash(domains_name(d, i)) & (count - 1)];
        d->rows[i].next = *bucket;
        *bucket = i;
    }
    free(d->buckets);
    d->buckets = buckets;
    d->bucket_count = count;
    return 0;
}

/* Rows move: nobody keeps a pointer to one, only indexes. */
static int grow_rows(struct domains *d)
{
    uint32_t capacity = d->row_capacity ? d->row_capacity * 2 : BUCKETS_MIN;
    struct domain *rows = reallocarray(d->rows, capacity, sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    d->rows = rows;
    d->row_capacity = capacity;
    return 0;
}

static uint32_t find(const struct domains *d, struct span name)
{
    if (!d->bucket_count)
        return DOMAIN_NONE;
    uint32_t i = d->buckets[hash(name) & (d->bucket_count - 1)];
    while (i != DOMAIN_NONE && !span_equal_nocase(domains_name(d, i), name))
        i = d->rows[i].next;
    return i;
}

/* Free rows are linked by `next`, the list ends in DOMAIN_NONE; `free` is one more than the index,
 * so that a zeroed struct is an empty one. */
static int new_row(struct domains *d, uint32_t *out)
{
    if (d->free) {
        *out = d->free - 1;
        d->free = d->rows[*out].next;
        return 0;
    }
    if (d->row_count == d->row_capacity) {
        int r = grow_rows(d);
        if (r < 0)
            return r;
    }
    *out = d->row_count++;
    return 0;
}

static char *lower_copy(struct span name)
{
    char *copy = malloc(name.size + 1);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < name.size; i++)
        copy[i] = ascii_lower(name.data[i]);
    copy[name.size] = 0;
    return copy;
}

static int add(struct domains *d, struct span name, uint32_t *out_index)
{
    uint32_t index;
    int r;

    /* One row a bucket on average. */
    if (d->used >= d->bucket_count && (r = grow_buckets(d)) < 0)
        return r;
    char *copy = lower_copy(name);
    if (!copy)
        return -ENOMEM;
    r = new_row(d, &index);
    if (r < 0) {
        free(copy);
        return r;
    }
    uint32_t *bucket = &d->buckets[hash(name) & (d->bucket_count - 1)];
    d->rows[index] =
        (struct domain){.name = copy, .size = (uint32_t)name.size, .uses = 1, .next = *bucket};
    *bucket = index;
    d->used++;
    d->name_bytes += name.size + 1;
    *out_index = index;
    return 0;
}

int domains_use(struct domains *d, struct span name, uint32_t *out_index)
{
    uint32_t index = find(d, name);

    if (index == DOMAIN_NONE)
        return add(d, name, out_index);
    d->rows[index].uses++;
    *out_index = index;
    return 0;
}

void domains_use_again(struct domains *d, uint32_t index)
{
    d->rows[index].uses++;
}

void domains_release(struct domains *d, uint32_t index)
{
    struct domain *row = &d->rows[index];

    if (row->uses > 1) {
        row->uses--;
        return;
    }
    struct span name = span_of(row->name, row->size); /* domains_name() knows it no longer */
    uint32_t *link = &d->buckets[hash(name) & (d->bucket_count - 1)];
    while (*link != index)
        link = &d->rows[*link].next;
    *link = row->next;
    d->name_bytes -= row->size + 1;
    d->used--;
    free(row->name);
    *row = (struct domain){.next = d->free};
    d->free = index + 1;
}

struct span domains_name(const struct domains *d, uint32_t index)
{
    if (index >= d->row_count || !d->rows[index].uses)
        return SPAN("");
    return span_of(d->rows[index].name, d->rows[index].size);
}

size_t domains_memory(const struct domains *d)
{
    return d->row_capacity * sizeof(*d->rows) + d->bucket_count * sizeof(*d->buckets) +
           d->name_bytes;
}

void domains_done(struct domains *d)
{
    for (uint32_t i = 0; i < d->row_count; i++)
        free(d->rows[i].name);
    free(d->rows);
    free(d->buckets);
    *d = (struct domains){0};
}
