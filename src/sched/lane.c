/*
 * Places for attempts, shared by trust (sched.h). A PROVEN site always has a place, as long as the
 * caller asks at all: he asks only while the process can take a job. FRESH ones share what
 * `unproven` leaves, DOUBTFUL ones are bounded once more. The rings take turns, so that none waits
 * for another.
 */
#include "sched/internal.h"

void lane_init(struct lane *lane)
{
    for (size_t i = 0; i < SITE_TRUST_COUNT; i++)
        list_init(&lane->rings[i]);
}

static bool has_place(const struct sched *s, unsigned number, enum site_trust trust)
{
    const struct sched_share *share = &s->config.shares[number];
    const uint32_t *under_way = s->lanes[number].under_way;

    if (trust == SITE_PROVEN)
        return true;
    if (under_way[SITE_DOUBTFUL] + under_way[SITE_FRESH] >= share->unproven)
        return false;
    return trust == SITE_FRESH || under_way[SITE_DOUBTFUL] < share->doubtful;
}

bool lane_is_ready(const struct sched *s, unsigned number)
{
    for (enum site_trust trust = 0; trust < SITE_TRUST_COUNT; trust++)
        if (!list_is_empty(&s->lanes[number].rings[trust]) && has_place(s, number, trust))
            return true;
    return false;
}

/* Those whose site is full by now leave the ring. */
static struct destination *first_of_ring(struct sched *s, struct list *ring)
{
    while (!list_is_empty(ring)) {
        struct destination *d = CONTAINER_OF(ring->next, struct destination, link);
        if (site_may_go(site_at(s, d->site)))
            return d;
        destination_update(s, d);
    }
    return NULL;
}

struct destination *lane_next(struct sched *s, unsigned number)
{
    struct lane *lane = &s->lanes[number];

    for (unsigned i = 0; i < SITE_TRUST_COUNT; i++) {
        enum site_trust trust = (lane->turn + i) % SITE_TRUST_COUNT;
        struct destination *d =
            has_place(s, number, trust) ? first_of_ring(s, &lane->rings[trust]) : NULL;
        if (!d)
            continue;
        lane->turn = trust + 1;
        return d;
    }
    return NULL;
}

/* The trust goes into the item's flags: the place is given back under the trust under which it was
 * taken, whatever the site has shown meanwhile. */
void lane_begin(struct sched *s, struct item *i)
{
    struct destination *d = destination_at(s, i->destination);
    struct site *site = site_at(s, d->site);

    i->flags |= (uint8_t)(ITEM_IN_WINDOW | site->trust << ITEM_TRUST_SHIFT);
    d->active++;
    site->active++;
    s->lanes[d->lane].under_way[site->trust]++;
    list_remove(&d->link); /* to the end of the ring, if it stays in */
    list_append(&s->lanes[d->lane].rings[site->trust], &d->link);
}

void lane_end(struct sched *s, struct item *i)
{
    struct destination *d = destination_at(s, i->destination);

    s->lanes[d->lane].under_way[i->flags >> ITEM_TRUST_SHIFT]--;
    d->active--;
    site_at(s, d->site)->active--;
    i->flags &= (1u << ITEM_TRUST_SHIFT) - 1 - ITEM_IN_WINDOW;
}
