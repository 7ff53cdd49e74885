/*
 * Why items wait: texts that many items share, each kept once. An item holds its text's handle in
 * `next` while it pauses or is held, when it is in no list.
 */
#include "sched/internal.h"

#include <stdlib.h>

/* Distinct texts. A station that says something else each time gets no more than this; beyond,
 * items wait without a text. */
enum { WHYS_MAX = 10000 };

struct why {
    char *text;
    uint32_t size, hash;
    uint32_t users;
};

struct why_key {
    const struct sched *sched;
    struct span text;
};

static struct why *why_at(const struct sched *s, uint32_t handle)
{
    return slab_at(&s->whys, handle);
}

static bool why_is(const void *arg, uint32_t handle)
{
    const struct why_key *key = arg;
    const struct why *why = why_at(key->sched, handle);
    return span_equal(span_of(why->text, why->size), key->text);
}

static uint32_t why_new(struct sched *s, struct span text, uint32_t hash)
{
    uint32_t handle = s->whys.count < WHYS_MAX ? slab_alloc(&s->whys) : 0;
    char *copy = handle ? malloc(text.size) : NULL;

    if (!copy || table_insert(&s->why_table, hash, handle) < 0) {
        free(copy);
        if (handle)
            slab_free(&s->whys, handle);
        return 0;
    }
    memcpy(copy, text.data, text.size);
    *why_at(s, handle) = (struct why){copy, (uint32_t)text.size, hash, 0};
    return handle;
}

void why_init(struct sched *s)
{
    slab_init(&s->whys, sizeof(struct why));
}

void why_done(struct sched *s)
{
    for (uint32_t i = 0; i < s->why_table.capacity; i++)
        if (s->why_table.slots[i].handle)
            free(why_at(s, s->why_table.slots[i].handle)->text);
    table_done(&s->why_table);
    slab_done(&s->whys);
}

uint32_t why_take(struct sched *s, struct span text)
{
    struct why_key key = {s, span_first(text, SCHED_WHY_MAX)};
    uint32_t hash = sched_hash(s, key.text);

    if (text.size == 0)
        return 0;
    uint32_t handle = table_find(&s->why_table, hash, why_is, &key);
    if (!handle)
        handle = why_new(s, key.text, hash);
    if (handle)
        why_at(s, handle)->users++;
    return handle;
}

void why_release(struct sched *s, uint32_t handle)
{
    struct why *why = handle ? why_at(s, handle) : NULL;

    if (!why || --why->users)
        return;
    table_remove(&s->why_table, why->hash, handle);
    free(why->text);
    slab_free(&s->whys, handle);
}

struct span why_text(const struct sched *s, uint32_t handle)
{
    if (!handle)
        return SPAN("");
    const struct why *why = why_at(s, handle);
    return span_of(why->text, why->size);
}
