/*
 * Places for attempts, shared by trust and among senders (sched.h). DOUBTFUL sites have their
 * bound, FRESH ones share what `unproven` leaves them, PROVEN ones what is left of all. The rings
 * take turns, in a ring the crowds, and in a crowd its destinations, so that none waits for
 * another.
 *
 * In each ring a crowd begins no more attempts while it has CROWD_SHARE times as many as are left:
 * who is alone gets three quarters, two get three sevenths each, and something is always left for
 * who comes next. (Choudhury and Hahne's dynamic thresholds, by which a switch shares its memory
 * among ports. A fixed part for each would be idle while few have much, or too much for many.)
 */
#include "sched/internal.h"

enum { CROWD_SHARE = 3 };

void lane_init(struct lane *lane)
{
    for (size_t i = 0; i < SITE_TRUST_COUNT; i++)
        list_init(&lane->rings[i].turns);
}

/* ---- places ---- */

static uint32_t left_of(uint32_t places, uint32_t taken)
{
    return places > taken ? places - taken : 0;
}

static uint32_t places_left(const struct sched *s, unsigned number, enum site_trust trust)
{
    const struct sched_share *share = &s->config.shares[number];
    const uint32_t *under_way = s->lanes[number].under_way;
    uint32_t unproven = under_way[SITE_DOUBTFUL] + under_way[SITE_FRESH];

    if (trust == SITE_PROVEN)
        return left_of(share->all, unproven + under_way[SITE_PROVEN]);
    uint32_t left = left_of(share->unproven, unproven);
    uint32_t doubtful = left_of(share->doubtful, under_way[SITE_DOUBTFUL]);
    return trust == SITE_DOUBTFUL && doubtful < left ? doubtful : left;
}

/* With nothing under way: as long as any place is left. */
static bool may_begin(const struct crowd *crowd, uint32_t left)
{
    return crowd->under_way < (uint64_t)left * CROWD_SHARE;
}

/* ---- crowds ---- */

/* Spread anew by each start's seed, so that nobody shares his fate with a stranger for ever. */
static struct crowd *crowd_of(struct sched *s, unsigned lane, unsigned trust, uint32_t sender)
{
    uint32_t hash = (sender ^ (uint32_t)s->config.seed) * 2654435761u; /* Knuth's, as in flow.c */
    return &s->lanes[lane].rings[trust].crowds[hash >> (32 - CROWD_BITS)];
}

static uint32_t next_sender(const struct destination *d)
{
    return CONTAINER_OF(d->flows.next, struct flow, link)->sender;
}

struct crowd *lane_crowd(struct sched *s, const struct destination *d)
{
    return crowd_of(s, d->lane, site_at(s, d->site)->trust, next_sender(d));
}

/* A crowd that nobody has used yet is zeroed. */
void lane_enter(struct sched *s, struct destination *d)
{
    struct crowd *crowd = lane_crowd(s, d);

    d->crowd = crowd;
    if (list_is_empty(&crowd->destinations)) {
        list_init(&crowd->destinations);
        list_append(&s->lanes[d->lane].rings[site_at(s, d->site)->trust].turns, &crowd->link);
    }
    list_append(&crowd->destinations, &d->link);
}

void lane_leave(struct destination *d)
{
    list_remove(&d->link);
    if (list_is_empty(&d->crowd->destinations))
        list_remove(&d->crowd->link);
    d->crowd = NULL;
}

/* At a proven site senders take plain turns: there one who is busy elsewhere would starve beside
 * very many others. At an unproven one it is about who goes ahead to see. */
bool lane_prefers(struct sched *s, const struct destination *d, uint32_t sender)
{
    unsigned trust = site_at(s, d->site)->trust;

    return trust != SITE_PROVEN && !list_is_empty(&d->flows) &&
           crowd_of(s, d->lane, trust, sender)->under_way <
               crowd_of(s, d->lane, trust, next_sender(d))->under_way;
}

/* ---- turns ---- */

/* It has something that may go now, unless its turn shows otherwise. */
static bool is_ready(const struct sched *s, unsigned number)
{
    for (enum site_trust trust = 0; trust < SITE_TRUST_COUNT; trust++) {
        const struct list *turns = &s->lanes[number].rings[trust].turns;
        uint32_t left = places_left(s, number, trust);
        for (const struct list *link = turns->next; left && link != turns; link = link->next)
            if (may_begin(CONTAINER_OF(link, struct crowd, link), left))
                return true;
    }
    return false;
}

int64_t lane_next_ms(const struct sched *s, unsigned number)
{
    const struct brake *brake = &s->lanes[number].brake;

    if (!is_ready(s, number))
        return INT64_MAX;
    return brake_is_on(brake) ? brake->until_ms : INT64_MIN;
}

/* Those whose site is full by now leave the crowd. */
static struct destination *first_of_crowd(struct sched *s, struct crowd *crowd)
{
    while (!list_is_empty(&crowd->destinations)) {
        struct destination *d = CONTAINER_OF(crowd->destinations.next, struct destination, link);
        if (site_may_go(site_at(s, d->site)))
            return d;
        destination_update(s, d);
    }
    return NULL;
}

/* Who has enough under way is passed over, and stays the next to go. */
static struct destination *first_of_ring(struct sched *s, struct ring *ring, uint32_t left)
{
    if (left == 0)
        return NULL;
    LIST_EACH(&ring->turns, link)
    {
        struct crowd *crowd = CONTAINER_OF(link, struct crowd, link);
        struct destination *d = may_begin(crowd, left) ? first_of_crowd(s, crowd) : NULL;
        if (d)
            return d;
    }
    return NULL;
}

struct destination *lane_next(struct sched *s, unsigned number, int64_t now_ms)
{
    struct lane *lane = &s->lanes[number];

    if (!brake_lets_go(&lane->brake, now_ms))
        return NULL;
    for (unsigned i = 0; i < SITE_TRUST_COUNT; i++) {
        enum site_trust trust = (lane->turn + i) % SITE_TRUST_COUNT;
        struct destination *d =
            first_of_ring(s, &lane->rings[trust], places_left(s, number, trust));
        if (!d)
            continue;
        lane->turn = trust + 1;
        return d;
    }
    return NULL;
}

/* ---- attempts ---- */

/* To the ends of ring and crowd, if they stay in. */
static void pass_turn(struct sched *s, struct destination *d)
{
    struct list *turns = &s->lanes[d->lane].rings[site_at(s, d->site)->trust].turns;
    struct list *crowd = &d->crowd->link;

    destination_withdraw(s, d);
    if (!list_is_linked(crowd))
        return;
    list_remove(crowd);
    list_append(turns, crowd);
}

/* The trust goes into the item's flags: the place is given back under the trust under which it was
 * taken, whatever the site has shown meanwhile. */
void lane_begin(struct sched *s, struct item *i, int64_t now_ms)
{
    struct destination *d = destination_at(s, i->destination);
    struct site *site = site_at(s, d->site);

    i->flags |= (uint8_t)(ITEM_IN_WINDOW | site->trust << ITEM_TRUST_SHIFT);
    d->active++;
    site->active++;
    s->lanes[d->lane].under_way[site->trust]++;
    crowd_of(s, d->lane, site->trust, i->sender)->under_way++;
    brake_attempt(&s->lanes[d->lane].brake, now_ms);
    pass_turn(s, d);
}

void lane_end(struct sched *s, struct item *i)
{
    struct destination *d = destination_at(s, i->destination);
    unsigned trust = i->flags >> ITEM_TRUST_SHIFT;

    s->lanes[d->lane].under_way[trust]--;
    crowd_of(s, d->lane, trust, i->sender)->under_way--;
    d->active--;
    site_at(s, d->site)->active--;
    i->flags &= (1u << ITEM_TRUST_SHIFT) - 1 - ITEM_IN_WINDOW;
}
