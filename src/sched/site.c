/*
 * A site's window and health: grown by successes, halved by its own trouble, and a pause when
 * trouble goes on. Which destinations share a site is only learnt when one of them was attempted
 * (sched_group()); until then each has its own.
 */
#include "sched/internal.h"

#include "base/chance.h"
#include <stdlib.h>

struct site_key {
    const struct sched *sched;
    uint64_t key;
    unsigned lane;
};

static bool key_is(const void *arg, uint32_t handle)
{
    const struct site_key *key = arg;
    const struct site *site = site_at(key->sched, handle);

    return site->key == key->key && site->lane == key->lane;
}

static uint32_t site_find(const struct sched *s, uint64_t key, unsigned lane)
{
    struct site_key wanted = {s, key, lane};
    return table_find(&s->site_table, (uint32_t)key, key_is, &wanted);
}

static void forget_key(struct sched *s, struct site *site)
{
    if (site->key)
        table_remove(&s->site_table, (uint32_t)site->key, site->handle);
    site->key = 0;
}

uint32_t site_new(struct sched *s, unsigned lane)
{
    uint32_t handle = slab_alloc(&s->sites);

    if (!handle || heap_reserve(&s->paused_sites, s->sites.count) < 0) {
        if (handle)
            slab_free(&s->sites, handle);
        return 0;
    }
    struct site *site = site_at(s, handle);
    site->handle = handle;
    site->lane = (uint8_t)lane;
    site->window = s->config.windows[lane].initial;
    site->earliest_s = UINT32_MAX;
    list_init(&site->members);
    list_init(&site->waiting);
    return handle;
}

static void site_free(struct sched *s, struct site *site)
{
    if (site->pausing)
        heap_remove(&s->paused_sites, site->heap_place);
    forget_key(s, site);
    free(site->why);
    uint32_t handle = site->handle;
    *site = (struct site){0};
    slab_free(&s->sites, handle);
}

void site_join(struct sched *s, struct destination *d, uint32_t handle)
{
    struct site *site = site_at(s, handle);

    d->site = handle;
    site->active += d->active;
    list_append(&site->members, &d->member);
}

void site_leave(struct sched *s, struct destination *d)
{
    struct site *site = site_at(s, d->site);

    site->active -= d->active;
    list_remove(&d->member);
    d->site = 0;
    if (list_is_empty(&site->members))
        site_free(s, site);
    else
        site_wake(s, site);
}

/* More than fit may follow one another into the ring: who finds no room there comes back. */
void site_wake(struct sched *s, struct site *site)
{
    for (uint32_t room = site_may_go(site) ? site->window - site->active : 0;
         room && !list_is_empty(&site->waiting); room--)
        destination_update(s, CONTAINER_OF(site->waiting.next, struct destination, link));
}

void site_resume(struct sched *s, struct site *site)
{
    if (!site->pausing)
        return;
    heap_remove(&s->paused_sites, site->heap_place);
    site->pausing = false;
    site->resume_ms = 0;
    site->window = 1; /* a probe: what fails again costs one attempt, not a window of them */
    site_wake(s, site);
}

/* Who is runnable goes over to the other ring. Attempts that are under way stay counted under the
 * trust with which they began (lane.c). */
static void set_trust(struct sched *s, struct site *site, enum site_trust trust)
{
    if (site->trust == trust)
        return;
    site->trust = (uint8_t)trust;
    LIST_EACH(&site->members, link)
    {
        struct destination *d = CONTAINER_OF(link, struct destination, member);
        if (d->place != DESTINATION_RUNNABLE)
            continue;
        destination_withdraw(s, d);
        destination_update(s, d);
    }
}

void site_has_fresh(struct sched *s, struct site *site)
{
    if (site->trust == SITE_DOUBTFUL && !site->had_trouble)
        set_trust(s, site, SITE_FRESH);
}

void site_succeeded(struct sched *s, struct site *site)
{
    const struct sched_window *window = &s->config.windows[site->lane];

    set_trust(s, site, SITE_PROVEN);
    site->failures = site->pauses = 0;
    free(site->why);
    site->why = NULL;
    site_resume(s, site);
    if (site->window >= window->max)
        return;
    /* Doubles with each round until the first trouble; from then on one more a round, as TCP does,
     * for the place where trouble begins is now known. */
    if (!site->had_trouble || site->window < window->initial) {
        site->window++;
    } else if (++site->credit >= site->window) {
        site->credit = 0;
        site->window++;
    }
    site_wake(s, site);
}

static void set_why(struct site *site, struct span why)
{
    why = span_first(why, SCHED_WHY_MAX);
    char *copy = malloc(why.size + 1);

    if (!copy)
        return;
    if (why.size)
        memcpy(copy, why.data, why.size);
    copy[why.size] = '\0';
    free(site->why);
    site->why = copy;
}

void site_failed(struct sched *s, struct site *site, struct span why, int64_t now_ms)
{
    set_why(site, why);
    site->had_trouble = true;
    site->credit = 0;
    if (site->pausing)
        return; /* one of those that were still under way */
    site->failures++;
    /* Halved first: a window of 4 needs two failures in a row for a pause, a probe's one. So a
     * single hiccup stops nobody, and a dead station costs few time-outs. */
    site->window = site->window > 1 ? site->window / 2 : 1;
    bool pauses = site->failures >= site->window;
    if (pauses || site->trust == SITE_FRESH)
        set_trust(s, site, SITE_DOUBTFUL);
    if (!pauses)
        return;
    site->pausing = true;
    site->resume_ms =
        now_ms + retry_pause_ms(&s->config.retry, ++site->pauses, chance_next(&s->random));
    heap_add(&s->paused_sites, site->resume_ms, site->handle);
}

/* The destination is the first of this key: its site takes the key, unless others share the site
 * under another one. 0: no memory, nothing happened. A site of several members can't be renamed: it
 * is known to the others by its key. */
static uint32_t claim(struct sched *s, struct destination *d, uint64_t key)
{
    bool alone = d->member.next == d->member.prev;
    uint32_t handle = alone ? d->site : site_new(s, d->lane);

    if (!handle)
        return 0;
    if (table_insert(&s->site_table, (uint32_t)key, handle) < 0) {
        if (!alone)
            slab_free(&s->sites, handle);
        return 0;
    }
    forget_key(s, site_at(s, handle));
    site_at(s, handle)->key = key;
    return handle;
}

/* Learnt from an attempt, since only that asks the DNS. What is under way counts in its new site
 * from now on. */
void sched_group(struct sched *s, uint32_t item, struct span hosts)
{
    struct destination *d = destination_at(s, item_at(s, item)->destination);
    uint64_t key = hosts.size ? sched_key(s, hosts) : 0;

    if (key == 0 || site_at(s, d->site)->key == key)
        return;
    uint32_t handle = site_find(s, key, d->lane);
    if (!handle)
        handle = claim(s, d, key);
    if (!handle || handle == d->site)
        return;
    expire_bound(site_at(s, handle), site_at(s, d->site)->earliest_s);
    destination_withdraw(s, d);
    site_leave(s, d);
    site_join(s, d, handle);
    destination_update(s, d);
}

void site_free_all(struct sched *s)
{
    for (uint32_t h = 1; h < s->sites.next_fresh; h++)
        if (site_at(s, h)->handle == h)
            free(site_at(s, h)->why);
}
