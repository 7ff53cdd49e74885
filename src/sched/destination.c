#include "sched/internal.h"

#include <stdlib.h>

/* Destinations that lost their last item keep their window and health for the next one. */
enum { UNUSED_MAX = 1024 };

struct name_key {
    const struct sched *sched;
    struct span name;
    unsigned lane;
};

static bool name_is(const void *arg, uint32_t handle)
{
    const struct name_key *key = arg;
    const struct destination *d = destination_at(key->sched, handle);

    return d->lane == key->lane && span_equal(span_of(d->name, d->name_size), key->name);
}

static void destination_free(struct sched *s, struct destination *d)
{
    list_remove(&d->link);
    if (d->place == DESTINATION_PAUSING)
        heap_remove(&s->paused_destinations, d->heap_place);
    table_remove(&s->destination_table, d->hash, d->handle);
    free(d->name);
    free(d->why);
    d->name = NULL;
    slab_free(&s->destinations, d->handle);
}

static uint32_t destination_new(struct sched *s, struct span name, unsigned lane, uint32_t hash)
{
    char *copy = malloc(name.size + 1);
    uint32_t handle = copy ? slab_alloc(&s->destinations) : 0;

    if (!handle || heap_reserve(&s->paused_destinations, s->destinations.count) < 0 ||
        table_insert(&s->destination_table, hash, handle) < 0) {
        if (handle)
            slab_free(&s->destinations, handle);
        free(copy);
        return 0;
    }
    struct destination *d = destination_at(s, handle);
    if (name.size)
        memcpy(copy, name.data, name.size);
    d->name = copy;
    d->name_size = (uint32_t)name.size;
    d->hash = hash;
    d->handle = handle;
    d->lane = (uint8_t)lane;
    d->window = s->config.windows[lane].initial;
    list_init(&d->flows);
    return handle;
}

uint32_t destination_get(struct sched *s, struct span name, unsigned lane)
{
    struct name_key key = {s, name, lane};
    uint32_t hash = sched_hash(s, name) + lane;
    uint32_t handle = table_find(&s->destination_table, hash, name_is, &key);

    return handle ? handle : destination_new(s, name, lane, hash);
}

static bool has_items(const struct destination *d)
{
    for (unsigned i = 0; i < SCHED_STATE_COUNT; i++)
        if (d->counts[i])
            return true;
    return false;
}

static void leave_list(struct sched *s, struct destination *d)
{
    if (d->place != DESTINATION_RUNNABLE && list_is_linked(&d->link))
        s->unused_count--;
    list_remove(&d->link);
}

static void become_unused(struct sched *s, struct destination *d)
{
    list_append(&s->unused, &d->link);
    if (++s->unused_count > UNUSED_MAX) {
        s->unused_count--;
        destination_free(s, CONTAINER_OF(s->unused.next, struct destination, link));
    }
}

void destination_update(struct sched *s, struct destination *d)
{
    bool runnable =
        d->place != DESTINATION_PAUSING && d->counts[SCHED_READY] > 0 && d->active < d->window;

    if (runnable && d->place == DESTINATION_RUNNABLE)
        return;
    leave_list(s, d);
    if (runnable) {
        d->place = DESTINATION_RUNNABLE;
        list_append(&s->rings[d->lane], &d->link);
        return;
    }
    if (d->place == DESTINATION_RUNNABLE)
        d->place = DESTINATION_IDLE;
    if (!has_items(d))
        become_unused(s, d);
}

void destination_resume(struct sched *s, struct destination *d)
{
    if (d->place != DESTINATION_PAUSING)
        return;
    heap_remove(&s->paused_destinations, d->heap_place);
    d->place = DESTINATION_IDLE;
    d->resume_ms = 0;
    d->window = 1; /* a probe */
    destination_update(s, d);
}

void destination_succeeded(struct sched *s, struct destination *d)
{
    const struct sched_window *window = &s->config.windows[d->lane];

    d->failures = d->pauses = 0;
    free(d->why);
    d->why = NULL;
    destination_resume(s, d);
    if (d->window >= window->max)
        return;
    /* Doubles with each round until the first trouble; from then on one more a round, as TCP does,
     * for the place where trouble begins is now known. */
    if (!d->had_trouble || d->window < window->initial) {
        d->window++;
    } else if (++d->credit >= d->window) {
        d->credit = 0;
        d->window++;
    }
    destination_update(s, d);
}

static void set_why(struct destination *d, struct span why)
{
    why = span_first(why, SCHED_WHY_MAX);
    char *copy = malloc(why.size + 1);

    if (!copy)
        return;
    if (why.size)
        memcpy(copy, why.data, why.size);
    copy[why.size] = '\0';
    free(d->why);
    d->why = copy;
}

void destination_failed(struct sched *s, struct destination *d, struct span why, int64_t now_ms)
{
    set_why(d, why);
    d->had_trouble = true;
    d->credit = 0;
    if (d->place == DESTINATION_PAUSING)
        return; /* one of those that were still under way */
    d->failures++;
    d->window = d->window > 1 ? d->window / 2 : 1;
    if (d->failures >= d->window) {
        leave_list(s, d);
        d->place = DESTINATION_PAUSING;
        d->resume_ms = now_ms + retry_pause_ms(&s->config.retry, ++d->pauses, sched_random(s));
        heap_add(&s->paused_destinations, d->resume_ms, d->handle);
    }
    destination_update(s, d);
}

void destination_free_all(struct sched *s)
{
    for (uint32_t h = 1; h < s->destinations.next_fresh; h++) {
        struct destination *d = destination_at(s, h);
        if (d->name) {
            free(d->name);
            free(d->why);
        }
    }
}
